"""What an op takes on a machine: a run with values that stand for data, made once and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from shoal import cache, catalog, codec
from shoal.errors import LimitError, ModelError
from shoal.machines.accelerators._views import VIEWS
from shoal.machines.accelerators.contract import Accelerator, Call

FAMILY = "machines/accelerators"
FREE = "free"  # of an op that only gives the same bytes another shape
ROOT = Path(__file__).parents[1]  # of all machines
_KEPT = "machine_prices"


@dataclass(frozen=True)
class Taken:
    """What one run of an op takes; or why it cannot run."""

    seconds: float
    cycles: int
    energy_j: Mapping[str, float]
    counters: Mapping[str, float]
    refusal: str = ""

    @property
    def joules(self) -> float:
        """All components."""
        return sum(self.energy_j.values())

    @property
    def dynamic_j(self) -> float:
        """Without what it takes for being on."""
        return self.joules - self.energy_j.get("static", 0.0)


def accelerator(text: str) -> Accelerator[Any]:
    """The machine that `text` asks for: "name" or "name+option=value+option=value".

    Raises:
        InputError: unknown machine or option, a value of the wrong type, or figures that no machine can have.
    """
    name, _, options = text.partition("+")
    found: Accelerator[Any] = catalog.make(FAMILY, f"{name}:{options.replace('+', ',')}")
    return found


def description(name: str) -> Path:
    """The file with the machine's figures and their sources; see `machines.figures`.

    Raises:
        InputError: there is no such machine; the hint names the nearest.
    """
    catalog.find(FAMILY, name)
    return ROOT / "accelerators" / f"{name}.toml"


def price(machine: str, call: Call) -> Taken:
    """What `call` takes on the machine that the text asks for; what it refuses has infinite seconds and the reason."""
    if call.kind in VIEWS:
        return Taken(0.0, 0, {}, {FREE: 1})

    def build(folder: Path) -> None:
        codec.save(_taken(machine, call), folder / "taken.json")

    place = cache.entry(_KEPT, _key(machine, call), build, cache.MOST_BYTES)
    return codec.load(Taken, place / "taken.json")


def _taken(machine: str, call: Call) -> Taken:
    made = accelerator(machine)
    try:
        ran = made.run(made.compiled(call))
    except (ModelError, LimitError) as fault:
        return Taken(0.0, 0, {}, {}, refusal=str(fault))
    return Taken(ran.seconds, ran.cycles, dict(ran.energy_j), dict(ran.counters))


@lru_cache(maxsize=1)
def _sources() -> str:
    """A hash of what figures follow from: the table of energies, descriptions, and the models themselves."""
    found = hashlib.sha256()
    for file in sorted(ROOT.rglob("*")):
        if file.suffix in {".csv", ".py", ".toml"}:
            found.update(file.read_bytes())
    return found.hexdigest()


def _key(machine: str, call: Call) -> str:
    found = hashlib.sha256()
    facts = [_sources(), repr(accelerator(machine)), call.kind, repr(sorted(call.attributes.items()))]
    for each in call.inputs:
        facts.append("" if each is None else f"{each.dtype} {each.shape} {each.constant}")
    facts += [f"{each.dtype} {each.shape}" for each in call.outputs]
    found.update("\n".join(facts).encode())
    for each in call.inputs:
        if each is not None and each.constant:
            found.update(each.values.tobytes())
    return found.hexdigest()[:32]
