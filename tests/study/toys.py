"""Studies for the tests, and how they get into the family: the package as it is, with one file more."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest

import shoal.study
from shoal import catalog

HEAD = """
from collections.abc import Iterator
from dataclasses import dataclass
from shoal.errors import WorkError
from shoal.study import *
"""
GRAHAM = '''
"""List scheduling against the optimum."""

@dataclass(frozen=True)
class Graham:
    """Each job goes to the processor that is free first.

    The worst case of the paper is built, and its optimum is known.
    """

    processors: int = 4  # at least 2
    broken: str = ""  # where it fails

    title = "List scheduling is within 2 - 1/m of the best"
    source = Source("Graham", "Bounds on Multiprocessing Timing Anomalies", 1969, venue="SIAM J. Appl. Math. 17(2)")
    quick = "processors=2"
    claims = (
        Claim("worst", "the worst case of four processors", 1.75, "×", Within(absolute=1e-9)),
        Claim("halved", "the same for half as long", None, "×", AtMost(0.875)),
        Claim("always", "no order of the jobs is worse", None, "", Holds()),
        Claim("clock", "the machine of 1969 took a minute", 60.0, "s", AtMost()),
    )

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Schedule the jobs of the worst case, then the others."""
        ratios = []
        for count in bench.each(range(2, self.processors + 1), "processors"):
            loads = [0.0] * count
            for job in [1.0] * (count * (count - 1)) + [float(count)]:
                loads[loads.index(min(loads))] += job
            ratios.append(max(loads) / count)
        yield Finding("worst", ratios[-1], "computed")
        if self.broken == "work":
            raise WorkError("the belt slipped")
        if self.broken == "key":
            yield Finding("wurst", 1.0, "computed")
        yield Finding("halved", ratios[-1], "computed", n=3, interval=(0.8, 2.0), why="not <halved> at all")
        where = f"{bench.scratch}/orders" if self.broken == "path" else ""
        yield Finding("always", all(ratio <= 2 for ratio in ratios), "computed", why=where)
        if self.broken == "defect":
            raise ZeroDivisionError
        yield untestable("clock", "that machine is gone")
        yield Table("Ratios", ("processors", "ratio, ×"), [(n + 2, ratio) for n, ratio in enumerate(ratios)])
        yield Chart("Ratios", "processors", "×", (Series("list", [1, 2], [1.0, None]), Series("best", [1, 2], [1, 1])))
        yield Note("The optimum is known by construction.")
'''


def install(monkeypatch: pytest.MonkeyPatch, folder: Path, **sources: str) -> Path:
    """Make the family consist of exactly these studies, name → text; returns the package's stand-in."""
    real, root = catalog.ROOT, folder / "package" / "shoal"
    (root / "study").mkdir(parents=True)
    for path in real.iterdir():
        if path.name not in {"study", "__pycache__"}:
            (root / path.name).symlink_to(path)
    for name, text in sources.items():
        (root / "study" / f"{name}.py").write_text(f"{HEAD}{dedent(text)}")
        monkeypatch.delitem(sys.modules, f"shoal.study.{name}", raising=False)
    monkeypatch.setattr(catalog, "ROOT", root)
    monkeypatch.setattr(shoal.study, "__path__", [str(root / "study"), *shoal.study.__path__])
    return root
