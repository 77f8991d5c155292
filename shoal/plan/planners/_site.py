"""What an integer programme of placements is given: blocks, units, and the figures of both, as `Assessor` has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shoal.cost import hops_between, runtime_bytes, weights_factor
from shoal.graph import peak_live_bytes
from shoal.plan.blocks import Blocks
from shoal.plan.problem import Problem
from shoal.plan.values import Group
from shoal.program import Hop

F64 = NDArray[np.float64]
Row = tuple[int, ...]  # the unit of each block


@dataclass(frozen=True)
class Tensor:
    """What one block makes, or the client sends (maker None), for the same blocks; several tensors may be one."""

    maker: int | None
    readers: tuple[int, ...]
    bytes: int
    carried: bool = False  # to the next item


@dataclass(frozen=True, eq=False)
class Site:
    """Indices stand for blocks and units from here on."""

    ops: Problem  # over ops
    blocks: Blocks
    engines: tuple[str, ...]  # of each unit

    @property
    def problem(self) -> Problem:
        """The problem over blocks."""
        return self.blocks.problem

    @property
    def units(self) -> tuple[str, ...]:
        """The units, "device/unit"."""
        return self.problem.units

    @cached_property
    def devices(self) -> tuple[str, ...]:
        """The device of each unit."""
        return tuple(unit.partition("/")[0] for unit in self.units)

    @cached_property
    def seconds(self) -> F64:
        """Shape (blocks, units); inf where a block cannot run."""
        columns = [self.problem.op_seconds(*each) for each in zip(self.units, self.engines, strict=True)]
        return np.stack(columns, axis=1)

    @cached_property
    def busy_w(self) -> tuple[float, ...]:
        """Watts of each unit above idle while it computes."""
        return tuple(self.problem.busy_w(unit) for unit in self.units)

    @cached_property
    def weights_bytes(self) -> F64:
        """Stored bytes of each block's weights."""
        return np.array([op.weights_bytes for op in self.problem.graph.ops], dtype=np.float64)

    @cached_property
    def live_bytes(self) -> F64:
        """Peak of live activations of each block alone."""
        members = self.blocks.members.values()
        return np.array([peak_live_bytes(self.ops.graph, ops) for ops in members], dtype=np.float64)

    @cached_property
    def answers_bytes(self) -> F64:
        """Bytes that each block sends to the client."""
        graph, found = self.problem.graph, np.zeros(len(self.problem.graph.ops))
        for name in graph.outputs:
            if name in graph.producer:
                found[graph.producer[name]] += graph.tensors[name].bytes
        return found

    @cached_property
    def tensors(self) -> tuple[Tensor, ...]:
        """What goes from block to block and from the client to blocks; within a loop nothing does."""
        graph, sizes = self.problem.graph, dict[tuple[int | None, frozenset[int], bool], int]()
        for name in (*graph.inputs, *graph.producer):
            key = (graph.producer.get(name), frozenset(graph.consumers.get(name, ())), False)
            sizes[key] = sizes.get(key, 0) + graph.tensors[name].bytes
        for each in graph.carried:
            maker = graph.producer[each.output]
            key = (maker, frozenset(graph.consumers[each.input]) - self._loop_of(maker), True)
            sizes[key] = sizes.get(key, 0) + graph.tensors[each.input].bytes
        return tuple(
            Tensor(maker, tuple(sorted(readers)), size, carried)
            for (maker, readers, carried), size in sizes.items()
            if readers
        )

    @cached_property
    def loops(self) -> tuple[frozenset[int], ...]:
        """The blocks of each loop through carried tensors."""
        graph = self.problem.graph
        return tuple(frozenset(graph.position[name] for name in loop) for loop in graph.loops)

    @cached_property
    def kept_bytes(self) -> F64:
        """Bytes of the states that each block makes and that stay on its unit: of loops, one for each session."""
        graph, found = self.problem.graph, np.zeros(len(self.problem.graph.ops))
        sessions = len({item.session for item in self.problem.pattern})
        for each in graph.carried:
            maker = graph.producer[each.output]
            if self._loop_of(maker).intersection(graph.consumers[each.input]):
                found[maker] += graph.tensors[each.input].bytes * (sessions if each.scope == "session" else 1)
        return found

    def _loop_of(self, block: int) -> frozenset[int]:
        return next((loop for loop in self.loops if block in loop), frozenset((block,)))

    def held_bytes(self, tensor: Tensor) -> float:
        """What the buffers of a tensor between two units take at each end."""
        return float((self.problem.window + tensor.carried) * tensor.bytes)

    @cached_property
    def ways(self) -> Mapping[tuple[int, int], tuple[Hop, ...]]:
        """The hops between every two unlike units; none within a device."""
        fleet, names = self.problem.fleet, self.devices
        pairs = [(u, v) for u in range(len(names)) for v in range(len(names)) if u != v]
        return {(u, v): hops_between(fleet, names[u], names[v]) for u, v in pairs}

    @cached_property
    def unfed(self) -> Mapping[int, frozenset[int]]:
        """Blocks that depend on nothing of the item, and their readers: alone on a unit, they would never begin."""
        graph, fed = self.problem.graph, set[int]()
        for index, op in enumerate(graph.ops):
            if any(name in graph.inputs or graph.producer.get(name) in fed for name in op.inputs):
                fed.add(index)
        return {
            index: frozenset(reader for name in op.outputs for reader in graph.consumers[name])
            for index, op in enumerate(graph.ops)
            if index not in fed
        }

    @cached_property
    def told(self) -> tuple[int, ...]:
        """Blocks that read an input of the item."""
        graph = self.problem.graph
        return tuple(index for index, op in enumerate(graph.ops) if not set(graph.inputs).isdisjoint(op.inputs))

    @cached_property
    def longest_s(self) -> float:
        """No period is longer: everything where it takes longest, and every tensor over every medium."""
        slowest = np.where(np.isfinite(self.seconds), self.seconds, 0.0).max(axis=1).sum()
        per_byte = sum(1.0 / hop.bytes_per_s for way in self.ways.values() for hop in way)
        return float(slowest) + per_byte * sum(tensor.bytes for tensor in self.tensors)

    @cached_property
    def alike(self) -> tuple[tuple[int, ...], ...]:
        """Units in classes: any two of a class may change places, and nothing else changes."""
        classes: list[list[int]] = []
        for unit in range(len(self.units)):
            home = next((each for each in classes if self._alike(each[0], unit)), None)
            if home is None:
                classes.append([unit])
            else:
                home.append(unit)
        return tuple(tuple(each) for each in classes)

    def groups(self, row: Row) -> tuple[Group, ...]:
        """The groups of ops of a placement, one for each unit in use."""
        owners: dict[int, list[str]] = {}
        for ops, unit in zip(self.blocks.members.values(), row, strict=True):
            owners.setdefault(unit, []).extend(ops)
        return tuple(Group(self.units[unit], tuple(ops), self.engines[unit]) for unit, ops in owners.items())

    def memory_bytes(self, row: Row) -> dict[str, float]:
        """What a placement takes on each device in use, as the programme reckons."""
        used = dict.fromkeys((self.devices[unit] for unit in row), 0.0)
        for unit in set(row):
            mine = np.array(row) == unit
            weights = weights_factor(self.engines[unit]) * self.weights_bytes[mine].sum()
            answers = self.problem.window * self.answers_bytes[mine].sum() + self.kept_bytes[mine].sum()
            used[self.devices[unit]] += (
                runtime_bytes(self.engines[unit]) + self.live_bytes[mine].max() + weights + answers
            )
        for tensor in self.tensors:
            source = None if tensor.maker is None else row[tensor.maker]
            for target in {row[reader] for reader in tensor.readers} - {source}:
                for end in (target,) if source is None else (source, target):
                    used[self.devices[end]] += self.held_bytes(tensor)
        return used

    def most_bytes(self, device: str) -> float:
        """No placement takes more on `device`, as the programme reckons."""
        mine = [unit for unit, name in enumerate(self.devices) if name == device]
        count = len(self.units)
        ends = max(1, count - 1) if len(mine) == 1 else 2 * count * count  # of a tensor's messages, here
        bases = sum(runtime_bytes(self.engines[unit]) + self.live_bytes.max() for unit in mine)
        weights = max(weights_factor(self.engines[unit]) for unit in mine) * self.weights_bytes.sum()
        sent = ends * sum(self.held_bytes(tensor) for tensor in self.tensors)
        kept = self.problem.window * self.answers_bytes.sum() + self.kept_bytes.sum()
        return float(bases + weights + sent + kept)

    def link_j(self, unit: int, other: int) -> float:
        """Joules a byte that the links between two units take."""
        return sum(link.j_per_byte for link in self.problem.fleet.path(self.units[unit], self.units[other]))

    def _alike(self, one: int, other: int) -> bool:
        if self._nature(one) != self._nature(other) or not np.array_equal(*self.seconds[:, [one, other]].T):
            return False
        if self.devices[one] != self.devices[other] and any(
            self.devices.count(self.devices[each]) > 1 for each in (one, other)
        ):
            return False
        rest = [unit for unit in range(len(self.units)) if unit not in (one, other)]
        pairs = [((one, unit), (other, unit)) for unit in rest] + [((unit, one), (unit, other)) for unit in rest]
        return all(self._link(*a) == self._link(*b) for a, b in [*pairs, ((one, other), (other, one))])

    def _nature(self, unit: int) -> tuple[object, ...]:
        """What sets a unit and its device apart, but for its links."""
        name, fleet = self.units[unit], self.problem.fleet
        device = fleet.device(name)
        figures = (self.busy_w[unit], device.idle_w, device.link_j_per_byte)
        return (self.engines[unit], self.problem.limit_bytes(name), *figures)

    def _link(self, unit: int, other: int) -> list[tuple[object, ...]]:
        return [
            (link.bandwidth_bytes_per_s, link.latency_s, link.j_per_byte, link.shared and link.name)
            for link in self.problem.fleet.path(self.units[unit], self.units[other])
        ]
