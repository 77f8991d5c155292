"""A sea of accelerators against one fabric that is set up for one kernel after another, and anything in between."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import isfinite

from shoal.cost.carbon.ratios import Design, check_alpha, compare
from shoal.errors import InputError
from shoal.search import Milp

NEVER_CONCURRENT = "no trace of who runs when: ASSUMING NEVER CONCURRENT, so that one fabric is enough"

Trace = Sequence[Collection[str]]  # kernels that are active at the same time, moment by moment


@dataclass(frozen=True)
class Kernel:
    """One kernel, as a circuit of its own and on the fabric; at the same node, in units of the user's choice."""

    name: str
    area: float  # of its accelerator
    energy: float  # of one run
    fabric_area: float  # of a fabric that can run it
    fabric_energy: float
    time: float = 1.0  # of one run
    fabric_time: float = 1.0
    runs: float = 1.0  # in the lifetime

    def __post_init__(self) -> None:
        above = (self.area, self.fabric_area, self.time, self.fabric_time)
        if not all(value > 0 and isfinite(value) for value in above):
            raise InputError("no such kernel", where=self.name, needed="areas and times above 0",
                             had=", ".join(f"{value:g}" for value in above))  # fmt: skip
        least = (self.energy, self.fabric_energy, self.runs)
        if not all(value >= 0 and isfinite(value) for value in least):
            raise InputError("no such kernel", where=self.name, needed="energies and runs of 0 or more",
                             had=", ".join(f"{value:g}" for value in least))  # fmt: skip


@dataclass(frozen=True)
class Common:
    """What the accelerators and the fabric share or pay besides the kernels."""

    area: float = 0.0  # of cores, memory and pads
    energy: float = 0.0  # that these take for the work
    leakage: float = 0.0  # energy per area that a gated block loses over the lifetime; every block pays it in full
    reconfiguration_energy: float = 0.0  # of all reconfigurations over the lifetime

    def __post_init__(self) -> None:
        values = (self.area, self.energy, self.leakage, self.reconfiguration_energy)
        if not all(value >= 0 and isfinite(value) for value in values):
            raise InputError("nothing shared is below 0", had=", ".join(f"{value:g}" for value in values))


@dataclass(frozen=True)
class Moved:
    """Which kernels leave their accelerators for the fabric, and what that gives."""

    names: tuple[str, ...]
    fabrics: int
    design: Design
    fixed_work: float  # footprint over that of the whole sea
    notes: tuple[str, ...] = ()


def built(kernels: Sequence[Kernel], moved: Collection[str], trace: Trace | None, common: Common) -> Design:
    """The design in which the kernels named `moved` share fabrics and the others keep their accelerators.

    Raises:
        InputError: no kernels, an unknown or repeated name, or an area of nothing.
    """
    _check(kernels, moved)
    kept = [kernel for kernel in kernels if kernel.name not in moved]
    shared = [kernel for kernel in kernels if kernel.name in moved]
    blocks = sum(kernel.area for kernel in kept)
    blocks += fabrics(moved, trace) * max((kernel.fabric_area for kernel in shared), default=0.0)
    energy = common.energy + common.leakage * blocks + (common.reconfiguration_energy if shared else 0.0)
    energy += sum(kernel.runs * kernel.energy for kernel in kept)
    energy += sum(kernel.runs * kernel.fabric_energy for kernel in shared)
    time = sum(kernel.runs * kernel.time for kernel in kept)
    time += sum(kernel.runs * kernel.fabric_time for kernel in shared)
    return Design(common.area + blocks, energy, energy / time if time else 0.0)


def fabrics(moved: Collection[str], trace: Trace | None) -> int:
    """How many fabrics the kernels named `moved` need: as many as are active at once."""
    most = max((len(set(moved).intersection(active)) for active in trace or ()), default=0)
    return max(most, 1) if moved else 0


def best_moved(
    kernels: Sequence[Kernel], alpha: float, *, trace: Trace | None = None, common: Common | None = None
) -> Moved:
    """The kernels to move for the least footprint at fixed work; exact.

    For a fabric of a given size each kernel that fits saves or loses by itself, so the sizes are tried one after
    another. A trace ties kernels together: then each size is an integer programme.

    Raises:
        InputError: see `built`, or no such share.
        MissingExtra: there is a trace, and highspy is not installed.
    """
    check_alpha(alpha)
    common = common or Common()
    sea = built(kernels, (), trace, common)
    if not sea.energy > 0:
        raise InputError("the accelerators take nothing to run", needed="an energy above 0", had="0")

    def gain(kernel: Kernel) -> float:
        saved = kernel.runs * (kernel.energy - kernel.fabric_energy) + common.leakage * kernel.area
        return alpha * kernel.area / sea.area + (1 - alpha) * saved / sea.energy

    def price(area: float) -> float:
        return alpha * area / sea.area + (1 - alpha) * common.leakage * area / sea.energy

    choices: list[tuple[str, ...]] = [()]
    for area in sorted({kernel.fabric_area for kernel in kernels}):
        gains = {kernel.name: gain(kernel) for kernel in kernels if kernel.fabric_area <= area}
        choices.append(_gaining(gains) if trace is None else _together(gains, price(area), trace))
    designs = [built(kernels, names, trace, common) for names in choices]
    footprints = [compare(design, sea, alpha).fixed_work for design in designs]
    best = footprints.index(min(footprints))
    notes = (NEVER_CONCURRENT,) if trace is None else ()
    return Moved(choices[best], fabrics(choices[best], trace), designs[best], footprints[best], notes)


def _gaining(gains: dict[str, float]) -> tuple[str, ...]:
    return tuple(name for name, each in gains.items() if each > 0)


def _together(gains: dict[str, float], price: float, trace: Trace) -> tuple[str, ...]:
    """The kernels to move to fabrics of one size, of which as many are built as kernels are active at once."""
    programme = Milp()
    chosen = {name: programme.binary(cost=-each) for name, each in gains.items()}
    count = programme.column(0, len(gains), cost=price, integer=True)
    for active in (*trace, *({name} for name in gains)):
        terms = [(chosen[name], 1.0) for name in sorted(set(active).intersection(chosen))]
        programme.row([*terms, (count, -1.0)], high=0.0)
    values = programme.solve().values
    return tuple(name for name, column in chosen.items() if values[column] > 0.5)


def _check(kernels: Sequence[Kernel], moved: Collection[str]) -> None:
    names = [kernel.name for kernel in kernels]
    if not names:
        raise InputError("no kernels to compare")
    if len(set(names)) < len(names):
        raise InputError("two kernels have one name", had=", ".join(names))
    if unknown := sorted(set(moved).difference(names)):
        raise InputError("no such kernel to move", needed=f"some of {', '.join(names)}", had=", ".join(unknown))
