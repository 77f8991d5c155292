"""One worker: it holds some experts, and computes them for everybody."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.llm.expert_parallel.experts import ACTIVATIONS, F32, I64, Expert, Parcel, add_rows, answers, parcels
from shoal.llm.expert_parallel.frames import Array, Frame, Line, swap
from shoal.llm.expert_parallel.messages import BALANCERS, Kind, Report, Task

if TYPE_CHECKING:
    from shoal.plan.balancers.contract import Balancer, Devices

Moves = NDArray[np.int64]  # (moves, 3): expert, source, target


class Worker:
    """One of them; the coordinator is the party after the last worker."""

    def __init__(self, task: Task, lines: Mapping[int, Line]) -> None:
        self._task, self._lines = task, lines
        self._home = task.workers
        self._peers = [each for each in range(task.workers) if each != task.index]
        self._held: dict[tuple[int, int], Expert] = {}
        self._weight_bytes = np.zeros(task.workers, np.int64)
        self._compute_s = 0.0
        self._copies = self._foreign = 0  # of the step
        self._balancers: dict[str, Balancer] = {}
        self._balancer: Balancer  # of the step

    def serve(self) -> None:
        """Do what the coordinator says until it leaves.

        Raises:
            Gone: a party left.
        """
        while True:
            asked = swap(self._lines, {}, [self._home], None)[self._home]
            if asked.kind == Kind.EXPERT:
                (layer, number), gate_up, down = asked.arrays
                self._held[int(layer), int(number)] = Expert(gate_up, down)
            else:
                self._answer(asked)

    def _answer(self, asked: Frame) -> None:
        self._weight_bytes[:] = 0
        before = self._sent()
        if self._task.traced:
            tracemalloc.reset_peak()
        held_bytes, self._compute_s = tracemalloc.get_traced_memory()[0], 0.0
        self._copies = self._foreign = 0
        begun_s, cpu_s = time.perf_counter(), time.process_time()
        (layer,), *rest = asked.arrays
        if asked.kind == Kind.HUB:
            made = self._hub(int(layer), *rest)
        else:
            self._plan_by(rest.pop(0).tobytes().decode())
            self._among(Kind.COUNTS, dict.fromkeys(self._peers, ()))
            begun_s, cpu_s = time.perf_counter(), time.process_time()  # everybody has its tokens
            made = self._shard(int(layer), *rest)
        peak_bytes = max(0, tracemalloc.get_traced_memory()[1] - held_bytes)
        report = Report(self._sent() - before, self._weight_bytes.copy(), time.perf_counter() - begun_s,
                        self._compute_s, time.process_time() - cpu_s, self._copies, self._foreign, peak_bytes)  # fmt: skip
        swap(self._lines, {self._home: Frame(Kind.ANSWER, (made, *report.arrays))}, [], self._task.patience_s)

    def _hub(self, layer: int, moves: Moves, *parcel: Array) -> F32:
        """Sums of one parcel, all of whose copies are for this worker."""
        mine = self._task.index
        targets = {int(move[2]) for move in moves if move[1] == mine}
        sources = {int(move[1]) for move in moves if move[2] == mine}
        sent = {to: Frame(Kind.PARCEL, self._weights(layer, moves, to)) for to in targets}
        came = swap(self._lines, sent, sources, self._task.patience_s)
        experts = self._with(layer, [each.arrays for each in came.values()])
        return self._computed(layer, [Parcel(*parcel)], experts)[0]

    def _shard(self, layer: int, x: F32, chosen: I64, gates: F32) -> F32:
        """What experts everywhere make of this worker's tokens; meanwhile its own experts serve the others."""
        mine, workers = self._task.index, self._task.workers
        target, moves = self._targets(layer, chosen)
        cut = parcels(x, chosen, gates, target, workers)
        came = self._among(
            Kind.PARCEL, {to: (*cut[to][0].arrays, *self._weights(layer, moves, to)) for to in self._peers}
        )
        experts = self._with(layer, [each[4:] for each in came.values()])
        given = {each: Parcel(*arrays[:4]) for each, arrays in came.items()} | {mine: cut[mine][0]}
        sums = dict(zip(given, self._computed(layer, list(given.values()), experts), strict=True))
        back = self._among(Kind.SUMS, {to: (sums[to],) for to in self._peers})
        total = np.zeros_like(x)
        for party, (_, tokens) in enumerate(cut):
            add_rows(total, tokens, sums[mine] if party == mine else back[party][0])
        return total

    def _targets(self, layer: int, chosen: I64) -> tuple[I64, Moves]:
        """The worker of each copy by a plan that all workers make alike, and the weights on the move."""
        count = len(self._task.native[layer])
        there = chosen < count  # a number beyond the experts stands for none
        own = np.bincount(chosen[there], minlength=count)
        came = {self._task.index: (own,)} | self._among(Kind.COUNTS, dict.fromkeys(self._peers, (own,)))
        counts = np.stack([came[each][0] for each in range(self._task.workers)])
        plan = self._balancer.assign(counts.sum(0), self._devices[layer])
        target = np.full(chosen.shape, -1)
        target[there] = plan.device_of(chosen[there], ranks(chosen[there], counts[: self._task.index].sum(0)))
        return target, np.array(plan.moves, np.int64).reshape(-1, 3)

    def _among(self, kind: Kind, arrays: Mapping[int, tuple[Array, ...]]) -> dict[int, tuple[Array, ...]]:
        """Arrays to every other worker, and from each of them."""
        sent = {to: Frame(kind, each) for to, each in arrays.items()}
        came = swap(self._lines, sent, self._peers, self._task.patience_s)
        return {each: frame.arrays for each, frame in came.items()}

    def _computed(self, layer: int, given: Sequence[Parcel], experts: Mapping[int, Expert]) -> list[F32]:
        holders = np.array(self._task.native[layer])
        copies = sum(len(each.experts) for each in given)
        self._copies += copies
        self._foreign += sum(int((holders[each.experts] != self._task.index).sum()) for each in given)
        begun_s = time.perf_counter()
        made = answers(given, experts, ACTIVATIONS[self._task.activation])
        if self._task.copy_s:
            time.sleep(max(0.0, begun_s + copies * self._task.copy_s - time.perf_counter()))
        self._compute_s += time.perf_counter() - begun_s
        return made

    def _weights(self, layer: int, moves: Moves, to: int) -> tuple[Array, ...]:
        """Experts that go from here to a worker: their numbers, then their matrices."""
        numbers = moves[(moves[:, 1] == self._task.index) & (moves[:, 2] == to), 0]
        experts = [self._held[layer, int(number)] for number in numbers]
        self._weight_bytes[to] += sum(each.bytes for each in experts)
        return (numbers, *(matrix for each in experts for matrix in each))

    def _with(self, layer: int, came: Sequence[tuple[Array, ...]]) -> dict[int, Expert]:
        """The layer's own experts, and those that came."""
        found = {number: each for (at, number), each in self._held.items() if at == layer}
        for numbers, *matrices in came:
            found |= {int(each): Expert(*matrices[2 * at : 2 * at + 2]) for at, each in enumerate(numbers)}
        return found

    def _sent(self) -> I64:
        return np.array([self._lines[each].sent_bytes if each in self._lines else 0 for each in range(self._home)])

    def _plan_by(self, balancer: str) -> None:
        """Import what planning needs before anybody's clock runs."""
        if balancer not in self._balancers:
            self._balancers[balancer] = catalog.make(BALANCERS, balancer)
        self._balancer = self._balancers[balancer]
        assert self._devices

    @cached_property
    def _devices(self) -> list[Devices]:
        return devices_of(self._task)


def ranks(experts: I64, start: I64) -> I64:
    """The place of each copy in its expert's order.

    Args:
        experts: (copies,), in the order of this party's tokens.
        start: (experts,), how many copies the parties before have.
    """
    order = np.argsort(experts, kind="stable")
    ordered = experts[order]
    found = np.empty_like(experts)
    found[order] = np.arange(len(experts)) - np.searchsorted(ordered, ordered) + start[ordered]
    return found


def devices_of(task: Task) -> list[Devices]:
    """The workers as a balancer sees them, by layer."""
    from shoal.plan.balancers.contract import Devices

    speeds = np.array(task.copies_per_s or (1.0,) * task.workers)
    room = np.array(task.room, np.int64)
    return [Devices(np.array(each, np.int64), speeds, task.transfer_s, room) for each in task.native]
