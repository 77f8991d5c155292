from typing import Any

from numpy.typing import NDArray

def paths() -> list[str]: ...
def product(
    path: str,
    codes: NDArray[Any],
    scales: NDArray[Any],
    zeros: NDArray[Any],
    zero: int,
    bits: int,
    groups: int,
    blocks: int,
    acts: NDArray[Any],
    act_scales: NDArray[Any],
    act_sums: NDArray[Any],
    y: NDArray[Any],
    threads: int,
) -> None: ...
def take(
    path: str,
    x: NDArray[Any],
    bits: int,
    groups: int,
    group: int,
    blocks: int,
    codes: NDArray[Any],
    scales: NDArray[Any],
    sums: NDArray[Any],
    totals: NDArray[Any],
) -> None: ...
def signs(path: str, weights: NDArray[Any], inputs: NDArray[Any], columns: int, y: NDArray[Any]) -> None: ...
