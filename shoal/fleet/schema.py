"""The tables of a fleet or board file as pydantic models: strict, with units read and all faults kept.

Imported only where a file is read: pydantic is not something a worker should pay for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from shoal import units
from shoal.catalog import nearest
from shoal.errors import UnitError
from shoal.fleet.faults import Fault

FORMATS = (
    *("float64", "float32", "tfloat32", "float16", "bfloat16", "float8"),
    *("int32", "int16", "int8", "int4", "int2", "int1"),
)  # what a peak may be stated for; tfloat32 is float32 data on matrix units that keep ten bits of it

MOST_BYTES = 2**53  # up to there every number of bytes is exact as a figure
MOST = 2**31 - 1  # of what is counted
MOST_SIDE = 4096  # of an array of multipliers

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}")


def _reads(unit: str, *, zero: bool = False, whole: bool = False) -> BeforeValidator:
    def read(text: object) -> float:
        try:
            figure = units.parse(text, unit, zero=zero)
        except UnitError as fault:
            facts = {"what": fault.what, "needed": fault.needed, "had": fault.had, "hint": fault.hint}
            raise PydanticCustomError("unit", "{what}", facts) from fault
        if whole and figure > MOST_BYTES:
            facts = {
                "what": "out of range",
                "needed": f"at most {units.format_bytes(MOST_BYTES)}",
                "had": repr(text)[:60],
            }
            raise PydanticCustomError("unit", "{what}", facts)
        return round(figure) if whole else figure

    return BeforeValidator(read)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise PydanticCustomError("name", "a name is made of letters, digits, '-', '_' and '.'")
    return text


def _format(text: str) -> str:
    if text not in FORMATS:
        raise PydanticCustomError("format", "unknown number format", {"hint": nearest(text, FORMATS)})
    return text


def _address(text: str) -> str:
    if not _ADDRESS.fullmatch(text) or int(text.rpartition(":")[2]) > 65535:
        raise PydanticCustomError("address", "not an address", {"needed": "host:port"})
    return text


def _distinct(cores: list[int]) -> list[int]:
    if len(set(cores)) < len(cores):
        raise PydanticCustomError("cores", "a core is named twice")
    return cores


def _ordered(ends: list[float]) -> list[float]:
    if len(ends) != 2 or ends[0] > ends[1]:
        raise PydanticCustomError("range", "a range is its lowest and its highest figure")
    return ends


Bytes = Annotated[int, _reads("byte", whole=True)]
BytesOrNone = Annotated[int, _reads("byte", zero=True, whole=True)]
Watts = Annotated[float, _reads("watt", zero=True)]
JoulesPerByte = Annotated[float, _reads("joule/byte", zero=True)]
BytesPerSecond = Annotated[float, _reads("byte/second")]
FlopPerSecond = Annotated[float, _reads("flop/second")]
Hertz = Annotated[float, _reads("hertz")]
Seconds = Annotated[float, _reads("second", zero=True)]
Kilograms = Annotated[float, _reads("kilogram", zero=True)]
Life = Annotated[float, _reads("second")]
Grid = Annotated[float, _reads("kilogram/joule", zero=True)]
Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
Name = Annotated[str, AfterValidator(_name)]
Cores = Annotated[list[Annotated[int, Field(ge=0, le=MOST)]], Field(min_length=1), AfterValidator(_distinct)]


class Row(BaseModel):
    """A table of the file: no key it does not know, no text where a number belongs."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PointRow(Row):
    """A voltage and frequency setting."""

    speed: Annotated[float, Field(gt=0, allow_inf_nan=False)]  # of the stated peaks
    busy: Watts


class MacsRow(Row):
    """An array of multipliers."""

    rows: Annotated[int, Field(ge=1, le=MOST_SIDE)]
    columns: Annotated[int, Field(ge=1, le=MOST_SIDE)]
    clock: Hertz
    node: Annotated[int, Field(ge=1, le=MOST)] = 45  # nm
    multiplier: str = ""


class UnitRow(Row):
    """A part of a device that computes."""

    cores: Annotated[int, Field(ge=1, le=MOST)]  # CPU cores, or a GPU's multiprocessors
    bandwidth: BytesPerSecond
    busy: Watts  # above the device's idle power
    peak: Annotated[
        dict[Annotated[str, AfterValidator(_format)], FlopPerSecond],
        Field(min_length=1),
    ]
    engines: list[str] = ["onnxruntime"]
    operating_points: dict[Name, PointRow] = {}
    macs: MacsRow | None = None  # simulated


class CouplingRow(Row):
    """How an accelerator hangs on its host."""

    kind: Literal["loose", "close", "tight"]
    bandwidth: BytesPerSecond  # one direction
    launch: Seconds
    host_speed: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0


class RangesRow(Row):
    """How far figures may be off: lowest and highest."""

    carbon: Annotated[list[Kilograms], AfterValidator(_ordered)] | None = None
    lifetime: Annotated[list[Life], AfterValidator(_ordered)] | None = None
    grid: Annotated[list[Grid], AfterValidator(_ordered)] | None = None
    utilisation: Annotated[list[Share], AfterValidator(_ordered)] | None = None


class LifecycleRow(Row):
    """What a device's making and use amount to in carbon dioxide."""

    lifetime: Life
    grid: Grid  # CO2e of its electricity
    utilisation: Share = 1.0
    pue: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.0
    die_area: Annotated[float, _reads("mm²")] | None = None
    storage: BytesOrNone = 0
    ranges: RangesRow = RangesRow()


class DeviceRow(Row):
    """A device, or (without `board`, `count`, `cores` and `address`) a board."""

    board: str | None = None
    count: Annotated[int, Field(ge=1, le=10_000)] = 1
    title: str = ""
    memory: Bytes
    system_memory: BytesOrNone = 0  # the operating system's share
    memory_limit: Bytes | None = None
    idle: Watts
    link_energy: JoulesPerByte = 0.0
    price: Annotated[float, _reads("USD", zero=True)] | None = None
    stock: Annotated[int, Field(ge=0, le=MOST)] | None = None
    carbon: Kilograms | None = None  # embodied
    cores: Cores | None = None
    address: Annotated[str, AfterValidator(_address)] | None = None
    speed: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 1.0  # of this machine, on one core of it
    coupling: CouplingRow | None = None
    lifecycle: LifecycleRow | None = None
    units: Annotated[dict[Name, UnitRow], Field(min_length=1)]
    sources: dict[str, str] = {}  # key path -> where its figure comes from


class DefaultLinkRow(Row):
    """The link of any pair that no other link names."""

    name: Name = "default"
    bandwidth: BytesPerSecond
    latency: Seconds
    energy: JoulesPerByte = 0.0
    shared: bool = False


class LinkRow(DefaultLinkRow):
    """A link with members; its name defaults to its place in the file."""

    name: Name = ""
    members: list[str]


class FileRow(Row):
    """The whole fleet file; devices are checked one by one after their boards are filled in."""

    devices: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]
    default_link: DefaultLinkRow | None = None
    links: list[LinkRow] = []


_INNER: Mapping[str, type[Row]] = {
    "units": UnitRow,
    "operating_points": PointRow,
    "macs": MacsRow,
    "coupling": CouplingRow,
    "lifecycle": LifecycleRow,
    "ranges": RangesRow,
    "links": LinkRow,
    "default_link": DefaultLinkRow,
}

_SINGLE = ("default_link", "macs", "coupling", "lifecycle", "ranges")  # tables without a name of their own

Checked = TypeVar("Checked", bound=Row)


def check(kind: type[Checked], table: object, at: str = "") -> tuple[Checked | None, list[Fault]]:
    """`table` as a `kind`, or None and every fault in it; `at` is the key path of the table."""
    try:
        return kind.model_validate(table), []
    except ValidationError as report:
        return None, [_fault(kind, error, at) for error in report.errors(include_url=False)]


def _fault(kind: type[Row], error: ErrorDetails, at: str) -> Fault:
    loc = error["loc"]
    if loc[-1:] == ("[key]",) and error["type"] != "extra_forbidden":  # the key itself, not its value
        loc = loc[:-1]
    where = ".".join(str(part) for part in ([at] if at else []) + list(loc))
    match error["type"]:
        case "extra_forbidden":
            known = sorted(_table(kind, loc[:-1]).model_fields)
            return Fault(where, "unknown key", hint=nearest(str(loc[-1]), known))
        case "missing":
            return Fault(where, "missing")
        case other:
            facts = error.get("ctx", {}) if other in _OURS else {"had": _short(error["input"])}
            texts = {key: str(facts[key]) for key in ("needed", "had", "hint") if facts.get(key)}
            message = error["msg"]
            return Fault(where, message[:1].lower() + message[1:], unit=other == "unit", **texts)


_OURS = ("unit", "name", "format", "address", "cores", "range")


def _table(kind: type[Row], loc: Sequence[str | int]) -> type[Row]:
    """The model of the table at `loc` inside a `kind`: names of units, points and links are stepped over."""
    parts: Iterator[str | int] = iter(loc)
    for part in parts:
        kind = _INNER[str(part)]
        if part not in _SINGLE:
            next(parts)
    return kind


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
