"""A model as pieces in a row on unlike units, and what dividing it costs: the definition for all planners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal.errors import PlanError

F64 = NDArray[np.float64]
Group = tuple[int, int, int]  # first piece, last piece exclusive, unit
Groups = tuple[Group, ...]  # consecutive, from piece 0 to the last, no unit twice
Order = Literal["given", "any"]
GOALS = ("latency", "period", "energy", "memory")  # columns of every table of scores, all minimised


class Score(NamedTuple):
    """What a plan costs, in the order of `GOALS`."""

    latency_s: float  # one item alone, from the client and back
    period_s: float  # between items when the pipe is full
    energy_j: float  # of the hungriest device, per item, its idle power included
    memory_bytes: float  # of the fullest device


class DeviceLoad(NamedTuple):
    """What a plan asks of one device."""

    dynamic_j: float  # per item, above idle: computing, sending, receiving
    memory_bytes: float


@dataclass(frozen=True, eq=False)
class Chain:
    """A model as n pieces in a row, between legal cuts, and m units that may run them.

    Cut c lies before piece c: cut 0 is the model's input, cut n its output. Units of one device share its
    memory, its idle power and its limit, and run at the same time; between them no link energy is spent. The
    joules of receiving the model's input belong to `joules[0]`, those of sending its output to `joules[-1]`.

    Raises:
        PlanError: a shape that does not fit, a negative figure or one that is not a number, or units of one
            device that disagree about it.
    """

    seconds: F64  # (n, m) time of a piece on a unit; inf: cannot run there
    joules: F64  # (n, m) dynamic energy of a piece on a unit, per item, above idle
    weights_bytes: F64  # (n, m) resident bytes the piece adds
    live_bytes: F64  # (n, m) peak of live activations while the piece runs
    cut_bytes: F64  # (n + 1,) what crosses before piece i
    hop_s: F64  # (n + 1, m, m) seconds to bring cut c from unit a to unit b, latency included; inf: no way
    hop_busy_s: F64  # (n + 1, m, m) the same without latency: how long the link is taken
    send_j: F64  # (m,) joules per byte, sender
    recv_j: F64  # (m,) joules per byte, receiver
    entry_s: F64  # (m,) seconds to bring the input from the client; 0: the client is there
    exit_s: F64  # (m,) seconds to bring the output to the client
    idle_w: F64  # (m,) idle power of the unit's device
    device_of: NDArray[np.intp]  # (m,) index of the unit's device
    base_bytes: F64  # (m,) memory of the runtime once the unit is used
    memory_limit: F64  # (m,) bytes the unit's device may use; inf: no limit
    window: int  # items in flight: buffers hold so many

    def __post_init__(self) -> None:
        n, m = self.seconds.shape if self.seconds.ndim == 2 else (0, 0)
        if n == 0 or m == 0:
            raise PlanError("a chain needs pieces and units", where="seconds", had=f"shape {self.seconds.shape}")
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("joules", "weights_bytes", "live_bytes"), (n, m)) | {
            "cut_bytes": (n + 1,)
        }
        shapes |= dict.fromkeys(("hop_s", "hop_busy_s"), (n + 1, m, m)) | {"seconds": (n, m)}
        per_unit = "send_j recv_j entry_s exit_s idle_w device_of base_bytes memory_limit"
        shapes |= dict.fromkeys(per_unit.split(), (m,))
        for name, shape in shapes.items():
            _check(name, getattr(self, name), shape, may_be_inf=name in _MAY_BE_INF)
        if self.window < 1:
            raise PlanError("the window must be at least 1", where="window", had=str(self.window))
        for name in ("idle_w", "memory_limit"):
            values = getattr(self, name)
            if any(len(set(values[self.device_of == device])) > 1 for device in set(self.device_of.tolist())):
                raise PlanError("units of one device disagree about it", where=name)

    @property
    def pieces(self) -> int:
        """How many pieces, n."""
        return int(self.seconds.shape[0])

    @property
    def units(self) -> int:
        """How many units, m."""
        return int(self.seconds.shape[1])


_MAY_BE_INF = ("seconds", "hop_s", "hop_busy_s", "memory_limit")


def _check(name: str, values: NDArray[np.generic], shape: tuple[int, ...], may_be_inf: bool) -> None:
    if values.shape != shape:
        raise PlanError("an array of another shape", where=name, needed=str(shape), had=str(values.shape))
    figures = values.astype(np.float64)
    wrong = ~(figures >= 0) | (np.isinf(figures) & (not may_be_inf))
    if wrong.any():
        place = np.argwhere(wrong)[0].tolist()
        raise PlanError("a figure that is no quantity", where=f"{name}{place}", had=str(figures[tuple(place)]))


def evaluate(chain: Chain, groups: Sequence[Group]) -> Score:
    """Score of one plan; inf latency and period where a unit cannot run its pieces.

    latency = entry + Σ piece times + Σ hops + exit; period = the largest of the groups' times and the hops'
    busy times, since sending overlaps computing; energy = max over used devices of idle_w · period + dynamic
    joules; memory = max over used devices. Whether memory keeps its limits is `feasible`'s question.

    Raises:
        PlanError: groups that are no division of the chain.
    """
    return evaluate_all(chain, [groups])[0]


def evaluate_all(chain: Chain, plans: Sequence[Sequence[Group]]) -> list[Score]:
    """`evaluate` of many plans, quicker: what they have in common is added up once.

    Raises:
        PlanError: see `evaluate`.
    """
    costs = _GroupCosts(chain)
    idle_w = dict(zip(chain.device_of.tolist(), chain.idle_w.tolist(), strict=True))
    return [_score(chain, groups, costs, idle_w) for groups in plans]


def _score(chain: Chain, groups: Sequence[Group], costs: _GroupCosts, idle_w: dict[int, float]) -> Score:
    check_groups(chain, groups)
    busy = [costs.of(group).seconds for group in groups]
    hops = [(first, before[2], unit) for before, (first, _, unit) in pairwise(groups)]
    latency = float(chain.entry_s[groups[0][2]] + chain.exit_s[groups[-1][2]]) + sum(busy)
    latency += sum(float(chain.hop_s[hop]) for hop in hops)
    period = max([*busy, *(float(chain.hop_busy_s[hop]) for hop in hops)])
    loads = _loads(chain, groups, costs)
    energy = max(_idle_j(idle_w[device], period) + load.dynamic_j for device, load in loads.items())
    return Score(latency, period, energy, max(load.memory_bytes for load in loads.values()))


class _Cost(NamedTuple):
    """Of one group by itself."""

    seconds: float
    joules: float
    memory_bytes: float


class _GroupCosts:
    """Costs of groups, each added up once."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._known: dict[Group, _Cost] = {}

    def of(self, group: Group) -> _Cost:
        if (known := self._known.get(group)) is None:
            first, last, unit = group
            seconds, joules = (
                float(np.sum(t[first:last, unit])) for t in (self._chain.seconds, self._chain.joules)
            )
            known = self._known[group] = _Cost(seconds, joules, group_bytes(self._chain, first, last, unit))
        return known


def device_loads(chain: Chain, groups: Sequence[Group]) -> dict[int, DeviceLoad]:
    """Dynamic joules per item and memory of every used device.

    Memory = Σ over its groups of runtime base + weights + peak live activations + window · (bytes in + out).
    """
    return _loads(chain, groups, _GroupCosts(chain))


def _loads(chain: Chain, groups: Sequence[Group], costs: _GroupCosts) -> dict[int, DeviceLoad]:
    loads: dict[int, DeviceLoad] = {}
    device_of, cut_bytes = chain.device_of, chain.cut_bytes
    for place, (first, last, unit) in enumerate(groups):
        cost, device = costs.of((first, last, unit)), int(device_of[unit])
        joules = cost.joules
        if place > 0 and device_of[groups[place - 1][2]] != device:
            joules += float(chain.recv_j[unit] * cut_bytes[first])
        if place + 1 < len(groups) and device_of[groups[place + 1][2]] != device:
            joules += float(chain.send_j[unit] * cut_bytes[last])
        before = loads.get(device, DeviceLoad(0.0, 0.0))
        loads[device] = DeviceLoad(before.dynamic_j + joules, before.memory_bytes + cost.memory_bytes)
    return loads


def group_bytes(chain: Chain, first: int, last: int, unit: int) -> float:
    """Memory that one group of pieces takes on its unit's device."""
    resident = chain.base_bytes[unit] + np.sum(chain.weights_bytes[first:last, unit])
    buffers = chain.window * (chain.cut_bytes[first] + chain.cut_bytes[last])
    return float(resident + np.max(chain.live_bytes[first:last, unit]) + buffers)


def feasible(chain: Chain, groups: Sequence[Group]) -> bool:
    """Whether every unit can run its pieces, every hop has a way, and every device keeps its memory limit."""
    if not np.isfinite(evaluate(chain, groups).latency_s):
        return False
    limit = dict(zip(chain.device_of.tolist(), chain.memory_limit.tolist(), strict=True))
    return all(load.memory_bytes <= limit[device] for device, load in device_loads(chain, groups).items())


def check_groups(chain: Chain, groups: Sequence[Group]) -> None:
    """Raise PlanError unless the groups are consecutive, cover all pieces and use no unit twice."""
    ends = [0, *(last for _, last, _ in groups)]
    joined = all(first == end < last for end, (first, last, _) in zip(ends, groups, strict=False))
    units = [unit for _, _, unit in groups]
    known = len(set(units)) == len(units) and all(0 <= unit < chain.units for unit in units)
    if not (joined and known and ends[-1] == chain.pieces):
        raise PlanError("groups that do not divide the chain", needed=f"0..{chain.pieces}", had=str(groups))


def _idle_j(watts: float, period_s: float) -> float:
    return watts * period_s if watts > 0 else 0.0  # 0 W for an endless period is 0 J
