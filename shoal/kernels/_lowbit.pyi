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
def trit_product(
    path: str,
    x: NDArray[Any],
    by_token: bool,
    codes: NDArray[Any],
    signs: NDArray[Any],
    scales: NDArray[Any],
    y: NDArray[Any],
    threads: int,
) -> None: ...
def lookup_product(
    path: str,
    x: NDArray[Any],
    group: int,
    codes: NDArray[Any],
    scales: NDArray[Any],
    zeros: NDArray[Any],
    y: NDArray[Any],
    threads: int,
) -> None: ...
