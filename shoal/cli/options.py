"""What several verbs share: how shapes, limits and pins are written, and where results go."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from shoal import codec
from shoal.catalog import nearest
from shoal.errors import InputError, PlanError, UnitError
from shoal.graph import Carried, Graph, load
from shoal.llm.outlook import ENTRIES
from shoal.plan import ModelRef, Plan
from shoal.program import Workload
from shoal.program.workload_file import load_workload, rate_of
from shoal.record import Run
from shoal.units import parse

if TYPE_CHECKING:
    from shoal.plan.experts import ExpertPlan

Value = TypeVar("Value")

PLAN_FILE = "plan.json"
EXPERTS_FILE = "experts.json"  # of a plan of experts, in its folder
RUN_FILE = "run.json"
PLAN_HELP = "a folder that `shoal plan` wrote, or one file of its front"
CARRY_HELP = (
    "take this input from what that output gave for the item before: h_in=h_out, or with options "
    "h_in=h_out,initial=1,scope=stream; may be repeated"
)
ITEMS = 32
RATE_HELP = "let items come by themselves, at this rate: 20/s; latencies then count from arrival"
POISSON_HELP = "at random (Poisson), on average at the rate"
WORKLOAD_HELP = "a TOML or JSON file of what arrives: items, rate or times, window, pattern"
SHAPE_HELP = "fix a shape or a named size: input=1,3,224,224 or tokens=128; may be repeated"


def emit(value: Any) -> None:
    """`value` as one line of JSON on stdout."""
    sys.stdout.write(codec.encode(value).decode() + "\n")


def writable(*paths: Path | None) -> None:
    """Find out before the work, not after it, that a file could not be written.

    Raises:
        InputError: a path is a folder, or its own folder cannot be made or written.
    """
    for path in paths:
        if path is not None:
            codec.check_writable(path)


def shapes_of(texts: Sequence[str]) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Shapes, and sizes that may be of a name or of an input with one axis, from "input=1,3,224,224" and "tokens=128".

    Raises:
        InputError: not of that form.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    sizes: dict[str, int] = {}
    for text in texts:
        name, _, rest = text.rpartition("=")
        try:
            numbers = tuple(int(part) for part in rest.split(","))
        except ValueError:
            numbers = ()
        if not name or not numbers or min(numbers) < 0:
            raise InputError(f"'{text}' is no shape", where="--shape", hint="input=1,3,224,224 or tokens=128")
        if len(numbers) == 1:
            sizes[name] = numbers[0]
        else:
            shapes[name] = numbers
    return shapes, sizes


def carried_of(texts: Sequence[str]) -> tuple[Carried, ...]:
    """Carried tensors from "h_in=h_out" and "h_in=h_out,initial=1,scope=stream".

    Raises:
        InputError: not of that form.
    """
    found = []
    for text in texts:
        given, _, rest = text.partition("=")
        made, *options = rest.split(",")
        pairs = [part.partition("=") for part in options]
        fields = {"input": given, "output": made} | {name: value for name, _, value in pairs}
        try:
            carried = codec.convert(fields, Carried, strict=False)
        except (msgspec.ValidationError, UnicodeEncodeError) as fault:
            raise _no_carry(text, str(fault)) from fault
        if not given or not made or len(fields) != 2 + len(pairs) or fields.keys() - Carried.__annotations__.keys():
            raise _no_carry(text)
        if not math.isfinite(carried.initial):
            raise _no_carry(text, "the initial value must be a figure")
        found.append(carried)
    return tuple(found)


def _no_carry(text: str, had: str | None = None) -> InputError:
    return InputError(
        f"'{text}' says not what to carry", where="--carry", had=had,
        hint="h_in=h_out or h_in=h_out,initial=1,scope=stream (or session)",
    )  # fmt: skip


def model(path: Path, shapes: Sequence[str], carry: Sequence[str] = ()) -> tuple[Graph, ModelRef]:
    """The graph in `path` bound to the shapes and states written on the command line, and its reference."""
    carried = carried_of(carry)
    bound, sizes = shapes_of(shapes)
    file = load(path, bound, sizes, carried)
    return file, ModelRef(file.name, str(path.resolve()), file.sha256, bound, sizes, carried)


def plan(path: Path) -> Plan:
    """The plan in the folder or file `path`.

    Raises:
        InputError: it is none, or the folder holds those of a language model's entries.
    """
    if entries := entries_in(path):
        hint = f"name one of them: {path / entries[0]}"
        raise InputError("this folder holds several plans", where=str(path), had=", ".join(entries), hint=hint)
    if is_experts(path):
        raise InputError(
            "this is a plan of experts", where=str(path), hint="`shoal serve` and `shoal generate` take it"
        )
    return _loaded(Plan, path / PLAN_FILE if os.path.isdir(path) else path, "a plan", "`shoal plan` writes them")


def entries_in(folder: Path) -> tuple[str, ...]:
    """The entries of a language model whose plans a folder holds; none if it holds a plan itself."""
    if os.path.isfile(folder / PLAN_FILE):
        return ()
    return tuple(name for name in ENTRIES if os.path.isfile(folder / name / PLAN_FILE))


def is_experts(path: Path) -> bool:
    """Whether a folder, or a file in it, is a plan of experts."""
    return path.name == EXPERTS_FILE or os.path.isfile(path / EXPERTS_FILE)


def experts(path: Path) -> ExpertPlan:
    """The plan of experts in the folder or file `path`.

    Raises:
        InputError: it is none.
    """
    from shoal.plan.experts import ExpertPlan

    file = path if path.name == EXPERTS_FILE else path / EXPERTS_FILE
    return _loaded(ExpertPlan, file, "a plan of experts", "`shoal plan --place` writes them")


def run(path: Path) -> Run:
    """The run in the file `path`."""
    return _loaded(Run, path, "a run", "`shoal run` and `shoal simulate` write them")


def _loaded(kind: type[Value], path: Path, what: str, hint: str) -> Value:
    """The value in `path`; a file of another kind is told from a missing one."""
    try:
        return codec.load(kind, path)
    except InputError as fault:
        if not os.path.isfile(path):  # unlike a Path it has an answer for names that are too long
            raise
        raise InputError(f"not {what}, or of another version of shoal", where=str(path), hint=hint) from fault


def share_of(text: str, where: str) -> float:
    """A share from "2%" or "0.02".

    Raises:
        InputError: it is none.
    """
    number, percent, rest = text.strip().partition("%")
    try:
        found = float(number) / (100 if percent else 1)
    except ValueError:
        found = math.nan
    if rest or not math.isfinite(found):
        raise InputError(f"'{text}' is no share", where=where, hint="2% or 0.02")
    return found


def pins_of(texts: Sequence[str]) -> dict[str, str]:
    """Op → device from "op=device"."""
    pins: dict[str, str] = {}
    for text in texts:
        op, equals, device = text.rpartition("=")
        if not equals or not op or not device:
            raise PlanError(f"'{text}' is no pin", where="--pin", hint="op=device")
        if pins.setdefault(op, device) != device:
            raise PlanError(f"op '{op}' is pinned twice", where="--pin", had=f"{pins[op]} and {device}")
    return pins


def limits_of(texts: Sequence[str]) -> dict[str, float]:
    """SI figures from "memory=1GiB", "latency=50ms", "energy=2J"."""
    units = {"memory": "byte", "latency": "second", "energy": "joule"}
    found = {}
    for text in texts:
        name, _, figure = text.partition("=")
        if name not in units:
            raise PlanError(f"no limit is called '{name}'", where="--limit", hint=nearest(name, units))
        try:
            found[name] = parse(figure.strip(), units[name])
        except UnitError as fault:
            where = f"--limit {name}"
            raise UnitError(fault.what, where=where, needed=fault.needed, had=fault.had, hint=fault.hint) from fault
    return found


def quantity(option: str, text: str, unit: str) -> float | None:
    """The figure of an option in SI units; None if it is not given.

    Raises:
        UnitError: no such quantity; it names the option.
    """
    try:
        return parse(text, unit) if text else None
    except UnitError as fault:
        raise UnitError(fault.what, where=option, needed=fault.needed, had=fault.had, hint=fault.hint) from fault


def shares_of(text: str) -> tuple[float, ...]:
    """Figures from "3,1". Only their ratio counts: 0.5,0.6 is as good as 5,6."""
    try:
        shares = tuple(float(part) for part in text.split(",")) if text else ()
    except ValueError:
        shares = (math.nan,)
    if not all(math.isfinite(share) and share >= 0 for share in shares):
        raise PlanError(
            f"'{text}' are no shares", where="--shares", hint="figures of at least zero, one for each unit: 3,1"
        )
    return shares


def workload_of(plan: Plan, items: int | None, rate: str, poisson: bool, file: Path | None) -> Workload:
    """What arrives: by a file, at a rate, or closed like the plan's own.

    Raises:
        InputError: options that contradict one another, or a fault of the file.
        UnitError: not a rate, or one of zero or below.
    """
    if file is not None and (rate or poisson):
        raise InputError("a workload file states its own rate", where="--workload", hint="leave out --rate")
    if file is not None:
        return load_workload(file, items, plan.workload.window)
    if poisson and not rate:
        raise InputError("arrivals at random need a rate", where="--poisson", hint="--rate 20/s")
    planned = plan.workload
    if not rate:
        return replace(planned, items=items or (ITEMS if planned.arrival == "closed" else planned.items))
    try:
        per_s = rate_of(rate)
    except UnitError as fault:
        raise UnitError(fault.what, where="--rate", needed=fault.needed, had=fault.had, hint=fault.hint) from fault
    count = items or ITEMS
    return replace(planned, items=count, arrival="rate", rate_items_per_s=per_s, poisson=poisson, times_s=())
