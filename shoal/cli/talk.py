"""What `generate` and `serve` share: a trained language model, prepared, on a fleet, ready to go on with texts."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from shoal import fleet as fleets
from shoal.catalog import nearest
from shoal.errors import InputError
from shoal.llm.checkpoint import Kept, Wanted, prepared
from shoal.llm.checkpoint.kept import Bits, Spoken
from shoal.llm.config import FILE
from shoal.llm.service import Generator, Placed, Room, generating, placed
from shoal.units import parse

if TYPE_CHECKING:
    from shoal.llm.offload.text import Paged

HERE = '[devices.here]\nboard = "this-machine"\n'
HEAD_PARTS = 16  # pieces of the vocabulary where several units can share it
FLEET_HELP = "where it runs (default: this machine)"
CONTEXT_HELP = "places of a text, prompt and answer together (default: the model's, at most 4096)"
WEIGHTS_HELP = "stored (as the file has them), float32, int8 or int4"


@dataclass(frozen=True)
class Ways:
    """How it is to run."""

    fleet: Path | None = None
    rows: int = 8
    context: int = 0
    weights: str = "stored"
    over: str = "shm"


def is_trained(path: Path) -> bool:
    """Whether a trained language model is named, by its folder or its GGUF file."""
    return path.suffix == ".gguf" or (path / FILE).is_file()


@contextmanager
def ready(model: Path, ways: Ways) -> Iterator[tuple[Kept, Generator]]:
    """The model prepared, and its workers ready.

    Raises:
        ModelError: there is no such model, or it cannot be written as ONNX.
        InputError: the options do not fit it.
        PlanError: no device has room for it.
    """
    where = fleets.load(ways.fleet) if ways.fleet else fleets.loads(HERE)
    parts = HEAD_PARTS if len(where.unit_names) > 1 else 1
    kept = prepared(model, Wanted(_bits(ways.weights), ways.context, parts))
    room = Room(ways.rows)

    def places(lost: frozenset[str]) -> Placed:
        left = {device.name for device in where.devices} - lost
        return placed(kept, where, room, exclude=lost if left else ())  # workers that all ended are started again

    with generating(places, kept.facts.context, ways.over) as generator:
        yield kept, generator


@contextmanager
def within(model: Path, memory: str, ahead: int) -> Iterator[tuple[Kept, Paged]]:
    """The model with its weights on disk, but for so much memory ("256 MB").

    Raises:
        ModelError: there is no such model, or its kind cannot be read.
        UnitError: no amount of memory.
        LimitError: it is too little.
    """
    from shoal.llm.offload.text import paged

    with paged(model, round(parse(memory, "byte")), ahead) as found:
        yield found


@contextmanager
def elsewhere(addresses: str, model: Path, memory: str, ahead: int, over: str) -> Iterator[tuple[Spoken, Paged]]:
    """The model with its weights at addresses, "host:port" with commas between, but for so much memory.

    Raises:
        ModelError: there is no such model, or the weights are another one's.
        UnitError: no amount of memory.
        LimitError: it is too little.
        WireError: nobody answers.
    """
    from shoal.llm.offload.elsewhere import paged_from

    known = [each.strip() for each in addresses.split(",")]
    with paged_from(known, model, round(parse(memory, "byte")), ahead, over) as found:
        yield found


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
