"""What `generate` and `serve` share: a trained language model, prepared, on a fleet, ready to go on with texts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args

from shoal import fleet as fleets
from shoal.catalog import nearest
from shoal.cli import options
from shoal.errors import InputError
from shoal.llm.checkpoint import Text, Wanted, prepared
from shoal.llm.checkpoint.kept import Bits
from shoal.llm.config import FILE
from shoal.llm.service import Generator, Placed, Room, generating, placed
from shoal.store import Told
from shoal.units import format_bytes, parse

if TYPE_CHECKING:
    from shoal.llm.offload.text import Paged

HERE = '[devices.here]\nboard = "this-machine"\n'
HEAD_PARTS = 16  # pieces of the vocabulary where several units can share it
FLEET_HELP = "where it runs (default: this machine)"
CONTEXT_HELP = "places of a text, prompt and answer together (default: the model's, at most 4096)"
WEIGHTS_HELP = "stored (as the file has them), float32, int8 or int4"
BALANCE_HELP = "of a plan of experts: who computes which tokens: plain, least_loaded:gate=1.3 …, random_spill"
OVER = "shm"
Going_co = TypeVar("Going_co", bound="Generator | Paged", covariant=True)


@dataclass(frozen=True)
class Ways:
    """How it is to run."""

    fleet: Path | None = None
    rows: int = 8
    context: int = 0
    weights: str = "stored"
    over: str = OVER
    balance: str = ""


@dataclass(frozen=True)
class Talk(Generic[Going_co]):
    """A model that is ready."""

    name: str
    text: Text
    generator: Going_co
    done: Callable[[], str] = str  # what workers did so far, in lines
    facts: Callable[[], dict[str, Any]] = dict  # the same for JSON


def is_trained(path: Path) -> bool:
    """Whether a trained language model is named, by its folder, its GGUF file or a plan of its experts."""
    return path.suffix == ".gguf" or (path / FILE).is_file() or options.is_experts(path)


def ready(model: Path, ways: Ways) -> AbstractContextManager[Talk[Generator]]:
    """The model prepared, and its workers ready.

    Raises:
        ModelError: there is no such model, or it cannot be written as ONNX.
        InputError: the options do not fit it.
        PlanError: no device has room for it.
    """
    return _experts(model, ways) if options.is_experts(model) else _over_fleet(model, ways)


@contextmanager
def _over_fleet(model: Path, ways: Ways) -> Iterator[Talk[Generator]]:
    if ways.balance:
        raise InputError("experts are balanced where a plan has placed them", where="--balance",
                         hint="shoal plan MODEL FLEET --place ilp --routes FILE")  # fmt: skip
    where = fleets.load(ways.fleet) if ways.fleet else fleets.loads(HERE)
    parts = HEAD_PARTS if len(where.unit_names) > 1 else 1
    kept = prepared(model, Wanted(_bits(ways.weights), ways.context, parts))
    room = Room(ways.rows)

    def places(lost: frozenset[str]) -> Placed:
        left = {device.name for device in where.devices} - lost
        return placed(kept, where, room, exclude=lost if left else ())  # workers that all ended are started again

    with generating(places, kept.facts.context, ways.over) as generator:
        yield Talk(kept.facts.name, kept.text, generator)


@contextmanager
def _experts(model: Path, ways: Ways) -> Iterator[Talk[Generator]]:
    from shoal.cli import experts
    from shoal.llm.expert_plan import serving

    plan = options.experts(model)
    if ways.fleet or ways.weights != "stored" or ways.over != OVER:
        raise InputError("a plan of experts says where they are, and they are as the model has them", where=str(model),
                         hint="leave out --fleet, --weights, --over")  # fmt: skip
    with serving(plan, ways.balance or "plain", ways.rows, ways.context) as found:
        yield Talk(
            plan.model.name, found.text, found.generator, lambda: experts.done(plan, found.tally),
            lambda: {"workers": experts.done_facts(plan, found.tally)},
        )  # fmt: skip


@contextmanager
def within(model: Path, memory: str, ahead: int) -> Iterator[Talk[Paged]]:
    """The model with its weights on disk, but for so much memory ("256 MB").

    Raises:
        ModelError: there is no such model, or its kind cannot be read.
        UnitError: no amount of memory.
        LimitError: it is too little.
    """
    from shoal.llm.offload.text import paged

    with paged(model, round(parse(memory, "byte")), ahead) as (kept, found):
        yield _reading(kept.facts.name, kept.text, found)


@contextmanager
def elsewhere(addresses: str, model: Path, memory: str, ahead: int, over: str) -> Iterator[Talk[Paged]]:
    """The model with its weights at addresses, "host:port" with commas between, but for so much memory.

    Raises:
        ModelError: there is no such model, or the weights are another one's.
        UnitError: no amount of memory.
        LimitError: it is too little.
        WireError: nobody answers.
    """
    from shoal.llm.offload.elsewhere import paged_from

    known = [each.strip() for each in addresses.split(",")]
    with paged_from(known, model, round(parse(memory, "byte")), ahead, over) as (spoken, found):
        yield _reading(model.name, spoken.text, found)


def _reading(name: str, text: Text, found: Paged) -> Talk[Paged]:
    return Talk(name, text, found, lambda: _waited(found.told()), lambda: _read(found.told()))


def _waited(told: Told) -> str:
    """What reading weights cost, in a line."""
    return (
        f"[waited {1e3 * told.stall_s:.0f} of {1e3 * told.seconds:.0f} ms for weights: {format_bytes(told.read_bytes)} read "
        f"from {told.tier.name}, {100 * told.hit_rate:.0f} % there when asked for]\n"
    )


def _read(told: Told) -> dict[str, Any]:
    return {
        "waited_s": told.stall_s,
        "used_s": told.seconds,
        "read_bytes": told.read_bytes,
        "read_from": told.tier.name,
        "hit_rate": told.hit_rate,
    }


def _bits(text: str) -> Bits:
    known: tuple[Bits, ...] = get_args(Bits)
    found = next((each for each in known if each == text), None)
    if found is None:
        raise InputError(f"no weights are called '{text}'", where="--weights", hint=nearest(text, known))
    return found


def say(text: str) -> None:
    """A piece of text, shown at once."""
    sys.stdout.write(text)
    sys.stdout.flush()
