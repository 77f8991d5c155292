"""What leaves are worth: their capability is there, their check ran, its figures are what was expected."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from shoal.errors import ShoalError
from shoal.measure.child import asked
from shoal.study.coverage._alone import Figures, Job
from shoal.study.coverage._leaves import Leaf
from shoal.study.taxonomy import resolve

PATIENCE_S = 90  # of a process on a busy machine; its own limit is that of processor time
Runner = Callable[[str], Figures]


@dataclass(frozen=True)
class Judged:
    """A leaf with what its check has shown."""

    leaf: Leaf
    figures: Mapping[str, float] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    took_s: float = 0.0
    peak_bytes: int = 0

    @property
    def state(self) -> str:
        """As claimed, or "failed" where it is not so."""
        return "failed" if self.faults else self.leaf.state


def apart(check: str) -> Figures:
    """Run a check in a process of its own, with the limits of `Job`.

    Raises:
        WorkError: it died, or took too long.
    """
    return asked("shoal.study.coverage._alone", Job(check), Figures, check, PATIENCE_S)


def judged(leaf: Leaf, runner: Runner = apart) -> Judged:
    """The leaf judged; one without a promise is what it says."""
    if not leaf.promised:
        return Judged(leaf)
    wrong = resolve(leaf.capability)
    if wrong:
        return Judged(leaf, faults=(wrong,))
    try:
        found = runner(leaf.check)
    except ShoalError as fault:
        return Judged(leaf, faults=(fault.message,))
    faults = (found.fault,) if found.fault else tuple(_missed(leaf, found.figures))
    return Judged(leaf, found.figures, faults, found.took_s, found.peak_bytes)


def every(leaves: Sequence[Leaf], jobs: int = 2, runner: Runner = apart) -> tuple[Judged, ...]:
    """All of them, so many at once, in their order."""
    with ThreadPoolExecutor(jobs) as pool:
        return tuple(pool.map(lambda leaf: judged(leaf, runner), leaves))


def _missed(leaf: Leaf, figures: Mapping[str, float]) -> list[str]:
    found = []
    for name, bound in (leaf.expects or {}).items():
        if name not in figures:
            found.append(f"the check does not tell {name}")
        elif not bound.allows(figures[name]):
            found.append(f"{name} is {figures[name]:.4g}, expected {bound}")
    return found
