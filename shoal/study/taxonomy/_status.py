"""What of a taxonomy is here: told by imports, by tests that ran, by a try on a small model."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from shoal import catalog
from shoal.errors import ShoalError
from shoal.study.taxonomy._evidence import NONE, ROOT, Evidence
from shoal.study.taxonomy._registry import Entry, Registry

Smoke = Callable[[str], str]  # a technique with its options → what is wrong with it, if anything


class Status(StrEnum):
    """Of an entry."""

    WORKING = "✔"  # here, and its test passed
    UNTESTED = "◐"  # here
    ABSENT = "○"


@dataclass(frozen=True)
class Judged:
    """An entry, what is known of it, and what is wrong where it promises more."""

    entry: Entry
    status: Status
    faults: tuple[str, ...] = ()


def statuses(found: Registry, evidence: Evidence = NONE, smoke: Smoke | None = None) -> tuple[Judged, ...]:
    """Every entry judged.

    Args:
        found: the registry.
        evidence: tests that ran.
        smoke: tries a technique of `llm/experts`; none: nothing is tried.
    """
    return tuple(_judged(each, evidence, smoke) for each in found.entries)


def resolve(by: str) -> str:
    """What is wrong with "module:name", if anything."""
    module, _, name = by.partition(":")
    try:
        found = importlib.import_module(module)
    except ImportError as fault:
        return f"{module} cannot be imported: {fault}"
    return "" if hasattr(found, name) else f"{module} has no '{name}'"


def smoked(technique: str) -> str:
    """Try a technique on the small model with experts: what is wrong, if anything."""
    from shoal.llm.experts import FAMILY, judged
    from shoal.llm.tiny import tiny
    from shoal.train.language import corpus, stretches

    learned, held = (stretches(part[: 8 * 64 + 1], 64) for part in corpus())
    try:
        model = tiny("mixtral").module()
        handle = catalog.make(FAMILY, technique).apply(model, learned.x)
        figures = judged(model, held)
        handle.undo()
    except ShoalError as fault:
        return f"'{technique}' on a small model: {fault.message}"
    return "" if 0 < figures.loss_nats < 6 and figures.resident_bytes > 0 else f"'{technique}' gives no figures"


def count(judged: Iterable[Judged], branch: str = "") -> dict[Status, int]:
    """How many entries of a branch, and of those below it, have each status."""
    within = [each.status for each in judged if not branch or each.entry.id.startswith(f"{branch}.")]
    return {status: within.count(status) for status in Status}


def _judged(entry: Entry, evidence: Evidence, smoke: Smoke | None) -> Judged:
    if not entry.by:
        return Judged(entry, Status.ABSENT)
    wrong = resolve(entry.by)
    if wrong:
        return Judged(entry, Status.ABSENT, (wrong,))
    faults = [*_of_test(entry, evidence), *_of_study(entry)]
    if entry.smoke and smoke:
        faults += filter(None, [smoke(entry.smoke)])
    return Judged(entry, Status.UNTESTED if faults else Status.WORKING, tuple(faults))


def _of_test(entry: Entry, evidence: Evidence) -> list[str]:
    if not entry.test:
        return ["no test is named"]
    passed = evidence.of(entry.test)
    if passed is None:
        return [f"{entry.test} did not run"]
    if not passed:
        return [f"{entry.test} did not pass"]
    newer = [path.name for path in _files(entry) if path.stat().st_mtime > evidence.made_s]
    return [f"{entry.test} ran before {', '.join(newer)} was changed"] if newer else []


def _files(entry: Entry) -> list[Path]:
    """The implementation's and the test's."""
    spec = find_spec(entry.by.partition(":")[0])
    there = [Path(spec.origin)] if spec and spec.origin else []
    test = ROOT / entry.test.partition("::")[0]
    return [*there, *([test] if test.is_file() else [])]


def _of_study(entry: Entry) -> list[str]:
    known = catalog.names("study")
    return [f"no study is called '{entry.study}'"] if entry.study and entry.study not in known else []
