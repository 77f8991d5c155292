"""What a study is made of: where a system was published, what it claims, and what was found here.

A study is a frozen dataclass in one file of this folder. Its fields are its options, its docstring tells the method,
and its class attributes `title`, `source` and `claims` say what is checked. Its `run` yields what it finds as it
finds it. It never says whether a claim is met: the claim's rule does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from shoal.errors import InputError
from shoal.study._rules import Rule

if TYPE_CHECKING:
    from shoal.study._bench import Bench

# As in `shoal.record`, and one more: "computed" is an exact calculation that no machine's speed enters, such as a
# schedule's length on a published graph, or a count.
Provenance = Literal["measured", "emulated", "simulated", "modelled", "predicted", "computed"]
Cell: TypeAlias = str | float | bool | None


@dataclass(frozen=True)
class Source:
    """Where a system was published."""

    authors: str  # "Topcuoglu, Hariri, Wu", or "Guo et al."
    title: str
    year: int
    arxiv: str = ""  # "2207.12113"
    venue: str = ""  # "IEEE TPDS 13(3)"


@dataclass(frozen=True)
class Claim:
    """One statement that can turn out met or missed.

    Args:
        key: names the claim within its study, in snake_case; findings refer to it.
        text: the claim in one sentence, with its conditions ("two cores against one, ResNet-50").
        published: the figure as published, words if it is no plain figure, None if none was given.
        unit: of `published`, of the rule's target and of what is obtained: "s", "items/s", "×", "%" (percent, 5
            and not 0.05), "B"; "" for counts and for what merely holds.
        rule: when it is met. A target of its own is for where the aim here is not the published figure.

    Raises:
        InputError: the rule has nothing to compare with.
    """

    key: str
    text: str
    published: float | str | None
    unit: str
    rule: Rule

    def __post_init__(self) -> None:
        self.rule.check(self.key, self.published)


@dataclass(frozen=True)
class Finding:
    """What was obtained for one claim.

    Args:
        key: the claim's.
        obtained: the figure in the claim's unit; True or False for what holds; None if it cannot be tested here.
        provenance: how the figure was got; None only with no figure.
        n: how many repeats, cases or samples stand behind it; 0 if that means nothing.
        interval: lowest and highest of the figure's spread; say in `why` which, unless it is `median_of`'s.
        why: needed if it cannot be tested here; else what a reader has to know of this figure, if anything.

    Raises:
        InputError: a figure that is not finite or has no provenance, no figure and no reason.
    """

    key: str
    obtained: float | bool | None
    provenance: Provenance | None = None
    n: int = 0
    interval: tuple[float, float] | None = None
    why: str = ""

    def __post_init__(self) -> None:
        _set(self, obtained=_plain(self.obtained), n=int(self.n))
        if self.interval is not None:
            low, high = map(_plain, self.interval)
            _set(self, interval=(low, high))
        if self.obtained is None and not self.why:
            raise InputError("not testable here, but it does not say why", where=f"finding '{self.key}'")
        if self.obtained is not None and self.provenance is None:
            raise InputError("a figure without provenance", where=f"finding '{self.key}'")
        if not all(isfinite(value) for value in (self.obtained or 0.0, *(self.interval or ()))):
            raise InputError("not a finite figure", where=f"finding '{self.key}'", had=str(self.obtained))


@dataclass(frozen=True)
class Table:
    """Rows to be shown; figures are rounded for reading, units stand in the column heads."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Cell]]
    note: str = ""  # what a reader needs in order to read it

    def __post_init__(self) -> None:
        _set(self, columns=tuple(self.columns), rows=tuple(tuple(map(_plain, row)) for row in self.rows))
        if any(len(row) != len(self.columns) for row in self.rows):
            raise InputError("rows and columns differ in length", where=f"table '{self.title}'")


@dataclass(frozen=True)
class Series:
    """One line, set of points or set of bars of a chart."""

    name: str
    x: Sequence[float | str]
    y: Sequence[float | None]  # None leaves a gap
    roof_of: str = ""  # the series whose limit this is: a thin line in its colour, shown and hidden with it

    def __post_init__(self) -> None:
        _set(self, x=tuple(map(_plain, self.x)), y=tuple(map(_plain, self.y)))


@dataclass(frozen=True)
class Chart:
    """A picture for the page."""

    title: str
    x: str  # the axis with its unit: "bandwidth, Mbit/s"
    y: str
    series: tuple[Series, ...]
    kind: Literal["line", "points", "bars", "heat"] = "line"  # heat: a series is a row, y its colour
    log_x: bool = False
    log_y: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        _set(self, series=tuple(self.series))
        if any(len(each.x) != len(each.y) for each in self.series):
            raise InputError("x and y differ in length", where=f"chart '{self.title}'")
        lost = (
            {each.roof_of for each in self.series} - {each.name for each in self.series if not each.roof_of} - {""}
        )
        if lost:
            raise InputError(f"a roof of '{min(lost)}', which is no series", where=f"chart '{self.title}'")


@dataclass(frozen=True)
class Bar:
    """What one row does for a while."""

    row: str
    start: float
    length: float
    label: str = ""  # what stands in it
    group: str = ""  # bars of a group have one colour and a name in the legend


@dataclass(frozen=True)
class Gantt:
    """A picture for the page of who does what when: a row for each name, bars along time."""

    title: str
    x: str  # the axis with its unit: "cycle"
    rows: tuple[str, ...]  # from top to bottom, those too that do nothing
    bars: tuple[Bar, ...]
    note: str = ""

    def __post_init__(self) -> None:
        _set(self, rows=tuple(self.rows), bars=tuple(self.bars))
        for bar in self.bars:
            if bar.row not in self.rows:
                raise InputError(f"a bar in a row '{bar.row}' that is not there", where=f"chart '{self.title}'")
            if not bar.length > 0:
                raise InputError(f"a bar without length in row '{bar.row}'", where=f"chart '{self.title}'")


@dataclass(frozen=True)
class Note:
    """A sentence that belongs to the result: a limit of the method, a choice, a surprise."""

    text: str


Shown: TypeAlias = Finding | Table | Chart | Gantt | Note


class Study(Protocol):
    """What a member of this folder offers beside its fields; its docstring tells the method in a few lines."""

    @property
    def title(self) -> str:
        """The system in one line: "AutoDiCE: a trained network and a mapping file to parts on many devices"."""

    @property
    def source(self) -> Source:
        """Where it was published."""

    @property
    def claims(self) -> tuple[Claim, ...]:
        """What is checked; all keys differ."""

    @property
    def quick(self) -> str:
        """Options with which it ends within seconds, "models=squeezenet,items=8": the contract test runs it so."""

    def run(self, bench: Bench) -> Iterator[Shown]:
        """Yield findings, at most one for each claim, and what else is worth showing, as soon as it is there."""


def untestable(key: str, why: str) -> Finding:
    """The finding that the claim `key` cannot be tested here, and why."""
    return Finding(key, None, why=why)


def words(text: str) -> tuple[str, ...]:
    """The parts of an option that lists several: "squeezenet+resnet50" (commas separate options).

    Raises:
        InputError: there is none.
    """
    found = tuple(part.strip() for part in text.split("+") if part.strip())
    if not found:
        raise InputError(f"'{text}' lists nothing", hint="separate by +: squeezenet+resnet50")
    return found


def median_of(key: str, samples: Sequence[float], provenance: Provenance, why: str = "") -> Finding:
    """The median of `samples` with its 95 % interval.

    The interval is that of order statistics, which assumes no distribution; below six samples there is none of
    95 %, and it is the lowest and highest.

    Raises:
        InputError: there is no sample.
    """
    from statistics import median

    if not samples:
        raise InputError("no sample", where=f"finding '{key}'")
    ordered = sorted(samples)
    rank = _rank(len(ordered))
    return Finding(key, median(ordered), provenance, len(ordered), (ordered[rank], ordered[-1 - rank]), why)


def _set(value: object, **fields: object) -> None:
    """Fields of a frozen value that is being made."""
    for name, content in fields.items():
        object.__setattr__(value, name, content)


def _plain(value: Any) -> Any:
    """A number of numpy's as Python's own, which is what a file gives back; anything else as it is."""
    return value.item() if hasattr(value, "item") else value


def _rank(n: int) -> int:
    """How many samples may be left off at each end so that the rest covers the median with at least 95 %."""
    from math import comb

    rank, outside = 0, 2.0 * 0.5**n
    while rank + 1 < n / 2:
        outside += 2.0 * comb(n, rank + 1) * 0.5**n
        if outside > 0.05:
            break
        rank += 1
    return rank
