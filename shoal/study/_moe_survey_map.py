"""What the map shows of leaves, and that it shows what is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shoal.study.taxonomy import Evidence, Judged, Registry, Status, count, statuses


def leaf_share(found: Registry, judged: Sequence[Judged], above: tuple[str, ...]) -> float:
    """Leaves below these branches with a working entry, in per cent."""
    leaves = _leaves(found, above)
    return 100 * (1 - len(unfilled(found, judged, above)) / len(leaves))


def unfilled(found: Registry, judged: Sequence[Judged], above: tuple[str, ...]) -> list[str]:
    """Leaves below these branches without any."""
    return [each for each in _leaves(found, above) if not count(judged, each)[Status.WORKING]]


def lost(found: Registry, evidence: Evidence) -> bool:
    """Whether each entry turns absent with a fault as soon as what implements it has no such name any more."""
    gone = [replace(each, by=f"{each.by}Gone") for each in found.entries if each.by]
    judged = statuses(replace(found, entries=tuple(gone)), evidence)
    return all(each.status is Status.ABSENT and each.faults for each in judged)


def _leaves(found: Registry, above: tuple[str, ...]) -> list[str]:
    return [each for each in found.leaves if each.startswith(tuple(f"{branch}." for branch in above))]
