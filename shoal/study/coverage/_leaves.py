"""Leaves of a taxonomy whose state is told by checks that run: read from a file, and refused where they promise wrongly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Literal

from shoal.errors import InputError
from shoal.study.taxonomy import read

FILE = Path(__file__).with_name("odlm.toml")
State = Literal["covered", "partly", "missing", "out of scope"]


@dataclass(frozen=True)
class Bound:
    """What a figure has to be."""

    least: float | None = None
    most: float | None = None

    def allows(self, figure: float) -> bool:
        """Whether the figure lies within; what is no number does not."""
        low = self.least is None or figure >= self.least
        return isfinite(figure) and low and (self.most is None or figure <= self.most)

    def __str__(self) -> str:
        limits = ((self.least, "≥"), (self.most, "≤"))
        return " and ".join(f"{sign} {limit:g}" for limit, sign in limits if limit is not None)


@dataclass(frozen=True)
class Branch:
    """What leaves hang on."""

    id: str
    title: str
    parent: str = ""  # none: it hangs on nothing


@dataclass(frozen=True)
class Leaf:
    """One technique."""

    id: str
    title: str
    parent: str
    what: str  # one sentence
    state: State  # what is claimed; covered and partly are to be shown by the check
    why: str = ""  # it is not covered, or only partly
    capability: str = ""  # "module:name" of what does it
    check: str = ""  # "module:function" below `coverage/checks`, which gives measured figures by name
    expects: Mapping[str, Bound] | None = None  # of these figures; others are shown beside them
    by: Literal["execution", "machine model"] = "execution"  # a machine model is no supported hardware
    needs: tuple[str, ...] = ()  # kinds of models and packages that the check takes
    systems: tuple[str, ...] = ()  # publications, by the names of their studies where there are such

    @property
    def promised(self) -> bool:
        """Whether there is something that the check has to show."""
        return self.state in ("covered", "partly")


@dataclass(frozen=True)
class Leaves:
    """The taxonomy."""

    title: str
    source: str
    branches: tuple[Branch, ...]
    leaves: tuple[Leaf, ...]
    beyond: tuple[str, ...] = ()  # systems that are not about language models

    def of(self, branch: str) -> Iterator[Leaf]:
        """The leaves that hang on a branch."""
        return (each for each in self.leaves if each.parent == branch)

    def leaf(self, name: str) -> Leaf:
        """The leaf of that id.

        Raises:
            InputError: there is none.
        """
        for each in self.leaves:
            if each.id == name:
                return each
        raise InputError(f"no leaf is called '{name}'", needed=", ".join(each.id for each in self.leaves))


def leaves(path: Path = FILE) -> Leaves:
    """The taxonomy in a TOML file.

    Raises:
        InputError: it is no such file, an id stands twice, parents are unknown or go round, or a leaf says less or
            more than its state allows.
    """
    found = read(path, Leaves)
    _check_tree(found, str(path))
    for each in found.leaves:
        _check_leaf(each, str(path))
    return found


def _check_tree(found: Leaves, where: str) -> None:
    parents: dict[str, str] = {}
    named: tuple[Branch | Leaf, ...] = (*found.branches, *found.leaves)
    for each in named:
        if each.id in parents:
            raise InputError(f"'{each.id}' stands twice", where=where)
        parents[each.id] = each.parent
    branches = {each.id for each in found.branches}
    for name in parents:
        at, seen = name, {name}
        while at := parents[at]:
            if at not in branches:
                raise InputError(f"'{name}' hangs on '{at}', which is no branch", where=where)
            if at in seen:
                raise InputError(f"the parents of '{name}' go round", where=where)
            seen.add(at)
    for leaf in found.leaves:
        if not leaf.parent:
            raise InputError(f"'{leaf.id}' hangs on no branch", where=where)


def _check_leaf(leaf: Leaf, where: str) -> None:
    if leaf.promised and not (leaf.capability and leaf.check and leaf.expects):
        raise InputError(f"'{leaf.id}' is claimed, but nothing shows it", where=where,
                         needed="capability, check and expects")  # fmt: skip
    if not leaf.promised and (leaf.check or leaf.expects):
        raise InputError(f"'{leaf.id}' is {leaf.state}, and has a check", where=where)
    if leaf.state != "covered" and not leaf.why:
        raise InputError(f"'{leaf.id}' is {leaf.state}, but does not say why", where=where)
    if any(bound.least is None and bound.most is None for bound in (leaf.expects or {}).values()):
        raise InputError(f"'{leaf.id}' expects a figure without a limit", where=where)
