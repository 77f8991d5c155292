"""What any placement costs by formula: groups of any shape, consecutive or not, as far as no queue matters.

    period  = the largest of the units' and the media's busy times for one item, and of the rounds (`rounds`)
    latency = the longest way of one item through pieces and hops, a unit doing one piece at a time
    energy  = per device: idle power · period + busy power · busy time + bytes · joules per byte
    memory  = per device: runtimes + weights + per unit the peak of live activations + window · bytes of its edges + states

On consecutive groups these are `chain.evaluate`'s figures, but for two things that a chain leaves out: hops that
share one medium follow one another, and links may differ in their joules per byte. Queues are for the simulator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shoal.cost import hops_between, runtime_bytes, weights_factor
from shoal.graph import Piece, peak_live_bytes, pieces
from shoal.plan.chain import Score
from shoal.plan.problem import Problem
from shoal.plan.rounds import Over, kept_bytes, overs, round_s, untold
from shoal.plan.values import Group
from shoal.program import CLIENT, Hop, Media

F64 = NDArray[np.float64]


class Assessment(NamedTuple):
    """The verdict on one placement."""

    score: Score
    excess: float  # 0: feasible; else what is amiss, added up:
    # ops put where they cannot run, or the share of memory beyond its limits and the pieces that wait for nothing of
    # an item on units that no message tells that it is there, with all that wait for them


class _Message(NamedTuple):
    """One tensor on its way from one unit to another, for one item; the client takes part."""

    source: str
    target: str
    bytes: int


@dataclass(frozen=True, eq=False)
class Assessor:
    """Scores placements of one problem; what they have in common is worked out once."""

    problem: Problem
    _seconds: dict[tuple[str, str], F64] = field(default_factory=dict)  # of each op, by unit and engine
    _sizes: dict[tuple[str, ...], tuple[int, int]] = field(default_factory=dict)  # weights and live bytes, by ops
    _ways: dict[tuple[str, str], tuple[Hop, ...]] = field(default_factory=dict)  # by the two units
    _watts: dict[str, float] = field(default_factory=dict)  # above idle, by unit

    def assess(self, groups: Sequence[Group]) -> Assessment:
        """Score of `groups`, which cover each op once; inf times where an op cannot run on its unit."""
        found, owners = self._laid(groups)
        units = [owner.unit for owner in owners]
        messages = self._messages(found, owners)
        memory_bytes = self._memory(found, owners, messages)
        messages += [_Message(*over[-3:]) for over in overs(self.problem.graph, found, units)]
        impossible = sum(self._impossible(group) for group in groups)
        if impossible:
            return Assessment(Score(np.inf, np.inf, np.inf, max(memory_bytes.values())), float(impossible))
        seconds = self._seconds_of(found, owners)
        busy_s: dict[str, float] = {}
        for owner, each in zip(owners, seconds, strict=True):
            busy_s[owner.unit] = busy_s.get(owner.unit, 0.0) + each
        waits_s = round_s(self.problem.graph, found, units, seconds, self._way_s, self.problem.pattern)
        period_s = max(*busy_s.values(), self._busiest_medium_s(messages), waits_s)
        energy_j = self._energy(busy_s, messages, period_s)
        latency_s = self._latency(found, owners, seconds)
        score = Score(latency_s, period_s, max(energy_j.values()), max(memory_bytes.values()))
        return Assessment(score, self._excess(memory_bytes) + untold(self.problem.graph, found, units))

    def rounds(self, groups: Sequence[Group]) -> tuple[list[Over], float]:
        """The carried tensors that leave their piece, and the least seconds between items that these allow."""
        found, owners = self._laid(groups)
        units, seconds = [owner.unit for owner in owners], self._seconds_of(found, owners)
        graph = self.problem.graph
        waits_s = round_s(graph, found, units, seconds, self._way_s, self.problem.pattern)
        return overs(graph, found, units), waits_s

    def scores(self, placements: Iterable[Sequence[Group]]) -> F64:
        """Scores of several placements, shape (placements, 4)."""
        return np.array([self.assess(groups).score for groups in placements]).reshape(-1, 4)

    def device_bytes(self, groups: Sequence[Group]) -> dict[str, float]:
        """Memory of each device that `groups` use."""
        found, owners = self._laid(groups)
        return self._memory(found, owners, self._messages(found, owners))

    def group_s(self, group: Group) -> float:
        """Seconds of all ops of a group; inf if one cannot run there."""
        return float(self._ops_s(group, group.ops).sum())

    def group_bytes(self, group: Group) -> float:
        """Memory of a group if it is one piece: runtime, weights, live activations."""
        weights, live = self._bytes(group.ops)
        return runtime_bytes(group.engine) + weights_factor(group.engine) * weights + live

    def _laid(self, groups: Sequence[Group]) -> tuple[tuple[Piece, ...], list[Group]]:
        """The pieces of a placement, and the group of each."""
        owners = {op: str(index) for index, group in enumerate(groups) for op in group.ops}
        found = pieces(self.problem.graph, owners)
        return found, [groups[int(piece.owner)] for piece in found]

    def _seconds_of(self, found: Sequence[Piece], owners: Sequence[Group]) -> list[float]:
        return [float(self._ops_s(owner, piece.ops).sum()) for owner, piece in zip(owners, found, strict=True)]

    def _ops_s(self, group: Group, ops: Sequence[str]) -> F64:
        key = (group.unit, group.engine)
        if key not in self._seconds:
            self._seconds[key] = self.problem.op_seconds(*key)
        return self._seconds[key][[self.problem.graph.position[op] for op in ops]]

    def _busy_w(self, unit: str) -> float:
        if unit not in self._watts:
            self._watts[unit] = self.problem.busy_w(unit)
        return self._watts[unit]

    def _impossible(self, group: Group) -> int:
        return int(np.isinf(self._ops_s(group, group.ops)).sum())

    def _messages(self, found: Sequence[Piece], owners: Sequence[Group]) -> list[_Message]:
        """Each tensor once to each other unit that reads it; inputs and answers too, carried ones apart."""
        carried = {each.input for each in self.problem.graph.carried}
        maker = {name: owner.unit for piece, owner in zip(found, owners, strict=True) for name in piece.outputs}
        reads = [(name, owner.unit) for piece, owner in zip(found, owners, strict=True) for name in piece.inputs]
        ways = {(name, maker.get(name, CLIENT), unit) for name, unit in reads if name not in carried}
        ways |= {(name, maker.get(name, CLIENT), CLIENT) for name in self.problem.graph.outputs}
        tensors = self.problem.graph.tensors
        return [_Message(a, b, tensors[name].bytes) for name, a, b in sorted(ways) if a != b]

    def _way(self, source: str, target: str) -> tuple[Hop, ...]:
        """The hops between two units; none to or from the client, who sits with whoever talks to it."""
        key = (source, target)
        if key not in self._ways:
            inside = CLIENT in key
            self._ways[key] = () if inside else hops_between(self.problem.fleet, _device(source), _device(target))
        return self._ways[key]

    def _way_s(self, tensor: str, source: str, target: str) -> float:
        """Seconds of a tensor between two units, if nothing else is on the way."""
        size = self.problem.graph.tensors[tensor].bytes
        return Media().carry(self._way(source, target), size, 0.0)

    def _busiest_medium_s(self, messages: Sequence[_Message]) -> float:
        busy_s: dict[str, float] = {}
        for message in messages:
            for hop in self._way(message.source, message.target):
                busy_s[hop.medium] = busy_s.get(hop.medium, 0.0) + message.bytes / hop.bytes_per_s
        return max(busy_s.values(), default=0.0)

    def _latency(self, found: Sequence[Piece], owners: Sequence[Group], seconds: Sequence[float]) -> float:
        """When the last answer of a single item is there: of pieces that could run, the first to end goes first."""
        graph = self.problem.graph
        there_s = {(name, owner.unit): 0.0 for owner in owners for name in graph.given}
        media, readers = Media(), _readers(found, owners)
        free_s = dict.fromkeys((owner.unit for owner in owners), 0.0)
        missing = [len(set(piece.inputs) - set(graph.given)) for piece in found]
        told = {unit for name in graph.inputs for unit in readers.get(name, {})}
        ready_s = {place: 0.0 for place, count in enumerate(missing) if count == 0 and owners[place].unit in told}
        untold = [place for place, count in enumerate(missing) if count == 0 and place not in ready_s]
        while ready_s:
            ends_s = {
                place: max(free_s[owners[place].unit], when) + seconds[place] for place, when in ready_s.items()
            }
            done = min(ends_s, key=ends_s.__getitem__)
            del ready_s[done]
            unit, now_s = owners[done].unit, ends_s[done]
            free_s[unit] = now_s
            for name in found[done].outputs:
                self._deliver(name, unit, now_s, readers.get(name, {}), there_s, media)
                for target in set(readers.get(name, {})) - told:  # it knows of the item now
                    told.add(target)
                    ready_s |= {place: there_s[name, target] for place in untold if owners[place].unit == target}
                for place in (place for places in readers.get(name, {}).values() for place in places):
                    missing[place] -= 1
                    if missing[place] == 0:
                        arrived = [there_s[each, owners[place].unit] for each in found[place].inputs]
                        ready_s[place] = max(arrived)
        return max((when for (name, _), when in there_s.items() if name in graph.outputs), default=0.0)

    def _deliver(
        self,
        name: str,
        unit: str,
        now_s: float,
        targets: Iterable[str],
        there_s: dict[tuple[str, str], float],
        media: Media,
    ) -> None:
        there_s[name, unit] = now_s
        for target in targets:
            if target != unit:
                size = self.problem.graph.tensors[name].bytes
                there_s[name, target] = media.carry(self._way(unit, target), size, now_s)

    def _energy(
        self, busy_s: Mapping[str, float], messages: Sequence[_Message], period_s: float
    ) -> dict[str, float]:
        fleet = self.problem.fleet
        joules = {_device(unit): fleet.device(unit).idle_w * period_s for unit in busy_s}
        for unit, seconds in busy_s.items():
            joules[_device(unit)] += self._busy_w(unit) * seconds
        for source, target, size in messages:
            if CLIENT not in (source, target) and _device(source) != _device(target):
                links = sum(link.j_per_byte for link in fleet.path(source, target))
                joules[_device(source)] += size * (fleet.device(source).link_j_per_byte + links)
                joules[_device(target)] += size * fleet.device(target).link_j_per_byte
        return joules

    def _memory(
        self, found: Sequence[Piece], owners: Sequence[Group], messages: Sequence[_Message]
    ) -> dict[str, float]:
        bases = {(owner.unit, owner.engine) for owner in owners}
        used = dict.fromkeys((_device(unit) for unit, _ in sorted(bases)), 0.0)
        for unit, engine in bases:
            used[_device(unit)] += runtime_bytes(engine)
        live_bytes: dict[str, int] = {}
        for piece, owner in zip(found, owners, strict=True):
            weights, live = self._bytes(piece.ops)
            used[_device(owner.unit)] += weights_factor(owner.engine) * weights
            live_bytes[owner.unit] = max(live_bytes.get(owner.unit, 0), live)
        for unit, live in live_bytes.items():
            used[_device(unit)] += live
        for message in messages:
            for end in {message.source, message.target} - {CLIENT}:
                used[_device(end)] += self.problem.window * message.bytes
        units = [owner.unit for owner in owners]
        for unit, size in kept_bytes(self.problem.graph, found, units, self.problem.window, self.problem.pattern):
            used[_device(unit)] += size
        return used

    def _bytes(self, ops: tuple[str, ...]) -> tuple[int, int]:
        if ops not in self._sizes:
            graph = self.problem.graph
            weights = {weight for op in ops for weight in graph.ops[graph.position[op]].weights}
            self._sizes[ops] = (sum(graph.weights[name].bytes for name in weights), peak_live_bytes(graph, ops))
        return self._sizes[ops]

    def _excess(self, memory_bytes: Mapping[str, float]) -> float:
        limits = {device: self.problem.limit_bytes(device) for device in memory_bytes}
        return sum(max(0.0, used / limits[device] - 1.0) for device, used in memory_bytes.items())


def _readers(found: Sequence[Piece], owners: Sequence[Group]) -> dict[str, dict[str, list[int]]]:
    """Tensor to the units that read it, and the places of their pieces that do."""
    readers: dict[str, dict[str, list[int]]] = {}
    for place, (piece, owner) in enumerate(zip(found, owners, strict=True)):
        for name in piece.inputs:
            readers.setdefault(name, {}).setdefault(owner.unit, []).append(place)
    return readers


def _device(unit: str) -> str:
    return unit.partition("/")[0]
