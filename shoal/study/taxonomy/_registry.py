"""A taxonomy of techniques as a map of what is here: its registry, read and checked for form."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

from shoal import codec
from shoal.errors import InputError

Read = TypeVar("Read")
FILE = Path(__file__).with_name("taxonomy.toml")


@dataclass(frozen=True)
class Entry:
    """One technique of the taxonomy."""

    id: str  # its branch, a point, its own word
    title: str
    what: str  # one sentence
    by: str = ""  # "module:name" of what implements it; none: it is not here
    exact: bool | None = None  # whether the model answers as before; None: that means nothing here
    test: str = ""  # "tests/file.py::test_name", with [parameters] or for all of them
    smoke: str = ""  # a technique of `llm/experts` with its options, to be tried on a small model
    study: str = ""  # that tells more
    knobs: tuple[str, ...] = ()  # what can be set
    refs: tuple[str, ...] = ()  # publications, "Lu et al. 2024"

    @property
    def branch(self) -> str:
        """The branch it hangs on."""
        return self.id.rpartition(".")[0]


@dataclass(frozen=True)
class Registry:
    """Branches, in their order, and the entries on them."""

    title: str
    source: str
    branches: Mapping[str, str]  # id → title
    entries: tuple[Entry, ...]

    def of(self, branch: str) -> Iterator[Entry]:
        """The entries that hang on a branch itself."""
        return (each for each in self.entries if each.branch == branch)

    @property
    def leaves(self) -> tuple[str, ...]:
        """Branches that do not part any further."""
        return tuple(
            each for each in self.branches if not any(other.startswith(f"{each}.") for other in self.branches)
        )


def registry(path: Path = FILE) -> Registry:
    """The registry in a TOML file.

    Raises:
        InputError: it is no such file, an id stands twice, an entry has no branch, or promises a test of nothing.
    """
    found = read(path, Registry)
    _check(found, path)
    return found


def read(path: Path, kind: type[Read]) -> Read:
    """A taxonomy in a TOML file, of the kind.

    Raises:
        InputError: it is no such file.
    """
    try:
        return codec.convert(tomllib.loads(path.read_text()), kind)
    except msgspec.ValidationError as fault:
        raise InputError(f"not a taxonomy: {fault}", where=str(path)) from fault
    except (OSError, ValueError) as fault:
        raise InputError(f"cannot read the taxonomy: {fault}", where=str(path)) from fault


def _check(found: Registry, path: Path) -> None:
    known: set[str] = set()
    for each in found.entries:
        if each.id in known:
            raise InputError(f"'{each.id}' stands twice", where=str(path))
        if each.branch not in found.branches:
            raise InputError(f"'{each.id}' hangs on no branch", where=str(path), had=each.branch or "none")
        if each.test and not each.by:
            raise InputError(f"'{each.id}' has a test, but nothing that it would test", where=str(path))
        known.add(each.id)
