"""Results in files: those that ship with shoal, those made here, and which of them counts.

A result holds what was found and how, no verdict: verdicts follow from the claims as they are stated now.
While a study runs, its result grows in `NAME.partial.json` beside the final file and replaces that at the end.
What was cut off is therefore kept, and never in place of a whole result.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shoal import cache, catalog, codec
from shoal.errors import InputError
from shoal.study._facts import Made
from shoal.study.contract import Chart, Finding, Gantt, Note, Shown, Table

FAMILY = "study"

log = logging.getLogger("shoal.study")


@dataclass(frozen=True)
class Exhibit:
    """One thing to show; exactly one field is set, so that a file keeps their order."""

    table: Table | None = None
    chart: Chart | None = None
    gantt: Gantt | None = None
    note: Note | None = None


@dataclass(frozen=True)
class Result:
    """What a study found, as far as it came."""

    name: str
    made: Made
    findings: tuple[Finding, ...] = ()
    exhibits: tuple[Exhibit, ...] = ()
    complete: bool = False
    failure: str = ""  # why it ended early, if it told

    def adding(self, shown: Shown) -> Result:
        """This result and one thing more.

        Raises:
            InputError: a second finding for one claim.
        """
        match shown:
            case Finding():
                if any(finding.key == shown.key for finding in self.findings):
                    raise InputError("found twice", where=f"claim '{shown.key}' of {self.name}")
                return dataclasses.replace(self, findings=(*self.findings, shown))
            case Table():
                exhibit = Exhibit(table=shown)
            case Chart():
                exhibit = Exhibit(chart=shown)
            case Gantt():
                exhibit = Exhibit(gantt=shown)
            case Note():
                exhibit = Exhibit(note=shown)
        return dataclasses.replace(self, exhibits=(*self.exhibits, exhibit))


def shipped_path(name: str) -> Path:
    """The file of the result of `name` that comes with shoal."""
    return catalog.ROOT / FAMILY / "results" / f"{name}.json"


def own_path(name: str, variant: str = "") -> Path:
    """The user's file for the result of `name`; a result under other options than the defaults has its own."""
    digest = hashlib.sha256(variant.encode()).hexdigest()[:8] if variant else ""
    return cache.folder("studies") / f"{name}{'-' * bool(digest)}{digest}.json"


def partial_path(path: Path) -> Path:
    """Where a result grows that will be `path`."""
    return path.with_name(f"{path.stem}.partial.json")


def kept(name: str, variant: str = "") -> Result | None:
    """The newest whole result of `name`, shipped or made here, else what was cut off; None if there is neither.

    Args:
        name: the study.
        variant: options that are not the defaults, "items=8"; nothing ships for these.
    """
    paths = (own_path(name, variant),) if variant else (shipped_path(name), own_path(name))
    found = [result for result in _readable(*paths) if result.complete]
    found = found or list(_readable(*map(partial_path, paths)))
    return max(found, key=lambda result: result.made.started_at, default=None)


def _readable(*paths: Path) -> Iterator[Result]:
    """The results in those of the files that exist; one that cannot be read hides no other."""
    for path in paths:
        if path.exists():
            try:
                yield codec.load(Result, path)
            except InputError as fault:
                log.warning("left out: %s", fault.message)
