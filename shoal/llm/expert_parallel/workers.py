"""The coordinator's side: worker processes that hold experts, and what each layer sends over which link."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.errors import InputError
from shoal.llm.expert_parallel.experts import ACTIVATIONS, F32, I64, Expert, parcels
from shoal.llm.expert_parallel.frames import Frame, Gone, swap
from shoal.llm.expert_parallel.messages import BALANCERS, Kind, Report, Task
from shoal.llm.expert_parallel.processes import ENDING_S, Processes
from shoal.llm.expert_parallel.steps import Note, Step, Traffic
from shoal.llm.expert_parallel.ways import Mode, Ways
from shoal.llm.expert_parallel.worker import devices_of, ranks

LONGER = 1.5  # the coordinator's patience over that of workers, which notice each other first


class Pending:
    """A layer's answer on its way; made by `Workers.begin`."""

    def __init__(self, workers: Workers, made: F32, tokens: Sequence[I64], step: Callable[[Mapping[int, Frame]], Step]) -> None:  # fmt: skip
        self._workers, self._made, self._tokens, self._step = workers, made, tokens, step
        self.here = False

    def result(self) -> F32:
        """What the layer's experts make of its tokens; waits for it.

        Raises:
            WorkerDied: a worker is gone, or says nothing.
        """
        while not self.here:
            self._workers.collect()
        return self._made

    def add(self, came: Mapping[int, Frame]) -> Step:
        """All workers have answered."""
        for party, tokens in enumerate(self._tokens):
            self._made[tokens] += came[party].arrays[0]
        self.here = True
        return self._step(came)


class Workers:
    """Processes that hold experts; made by `workers`."""

    def __init__(self, native: I64, task: Task, ways: Ways, processes: Processes, note: Note | None) -> None:
        self.native, self.count, self.traffic = native, task.workers, Traffic()
        self._note = note or self.traffic.steps.append
        self.processes = processes.numbers
        self._task, self._processes = task, processes
        self.share(ways.mode, ways.balancer)
        self._devices = devices_of(task)
        self._pending: deque[Pending] = deque()

    def share(self, mode: Mode, balancer: str) -> None:
        """Share the work so from now on; see `Ways`.

        Raises:
            InputError: there is no such balancer.
        """
        self._mode, self._name, self._balancer = mode, balancer, catalog.make(BALANCERS, balancer)

    def hold(self, layer: int, expert: int, weights: Expert) -> None:
        """Give an expert to the worker that the map names.

        Raises:
            WorkerDied: it is gone.
        """
        frame = Frame(Kind.EXPERT, (np.array([layer, expert]), *weights))
        self._swap({int(self.native[layer, expert]): frame}, [])

    def layer(self, layer: int, x: F32, chosen: I64, gates: F32) -> F32:
        """What the layer's experts make of tokens, (n, width).

        Args:
            layer: place among the layers with experts.
            x: (n, width).
            chosen: (n, k), experts; a number beyond them stands for none.
            gates: (n, k), what each expert's answer counts.

        Raises:
            InputError: arrays that do not fit each other.
            WorkerDied: a worker is gone, or says nothing.
        """
        if self._mode == "hub":
            return self.begin(layer, x, chosen, gates).result()
        self._check(layer, x, chosen, gates)
        while self._pending:
            self.collect()
        before = self._sent_bytes()
        made, came = self._shards(layer, *_plain(x, chosen, gates))
        self._note(self._step(layer, self._sent_bytes() - before, came, self._said(layer, chosen)))
        return made

    def begin(self, layer: int, x: F32, chosen: I64, gates: F32) -> Pending:
        """Ask for what `layer` gives, and go on meanwhile; tokens go out from here, whatever the mode.

        Several may be on their way; workers do one after another, as they were asked.

        Raises:
            InputError: arrays that do not fit each other.
            WorkerDied: a worker is gone.
        """
        self._check(layer, x, chosen, gates)
        x, chosen, gates = _plain(x, chosen, gates)
        there = chosen < self.native.shape[1]
        plan = self._balancer.assign(self._loads(chosen), self._devices[layer])
        target = np.full(chosen.shape, -1)
        target[there] = plan.device_of(
            chosen[there], ranks(chosen[there], np.zeros(self.native.shape[1], np.int64))
        )
        moves = np.array(plan.moves, np.int64).reshape(-1, 3)
        cut = parcels(x, chosen, gates, target, self.count)
        before = self._sent_bytes()
        self._put(
            {to: Frame(Kind.HUB, (np.array([layer]), moves, *parcel.arrays)) for to, (parcel, _) in enumerate(cut)}
        )
        sent = self._sent_bytes() - before
        pending = Pending(self, np.zeros_like(x), [tokens for _, tokens in cut],
                          lambda came: self._step(layer, sent, came, plan.said))  # fmt: skip
        self._pending.append(pending)
        return pending

    def collect(self) -> None:
        """Wait for the answer that was asked for first, of those on their way.

        Raises:
            WorkerDied: a worker is gone, or says nothing.
        """
        came = self._swap({}, range(self.count))
        self._note(self._pending.popleft().add(came))

    def _check(self, layer: int, x: F32, chosen: I64, gates: F32) -> None:
        if x.ndim != 2 or chosen.shape != gates.shape or len(chosen) != len(x) or not 0 <= layer < len(self.native):
            raise InputError("tokens, choices and gates do not fit each other", where=f"layer {layer}",
                             had=f"{x.shape}, {chosen.shape}, {gates.shape}")  # fmt: skip
        if chosen.size and chosen.min() < 0:
            raise InputError("an expert that is not there", where=f"layer {layer}", had=str(chosen.min()))

    def _shards(self, layer: int, x: F32, chosen: I64, gates: F32) -> tuple[F32, Mapping[int, Frame]]:
        parts = zip(*(np.array_split(each, self.count) for each in (x, chosen, gates)), strict=True)
        name = np.frombuffer(self._name.encode(), np.uint8)
        asked = {to: Frame(Kind.SHARD, (np.array([layer]), name, *part)) for to, part in enumerate(parts)}
        came = self._swap(asked, range(self.count))
        return np.concatenate([came[party].arrays[0] for party in range(self.count)]), came

    def _said(self, layer: int, chosen: I64) -> str:
        """What workers that plan by themselves were kept from by a limit."""
        return self._balancer.assign(self._loads(chosen), self._devices[layer]).said if self._task.room else ""

    def _loads(self, chosen: I64) -> I64:
        count = self.native.shape[1]
        return np.bincount(chosen[chosen < count].astype(np.int64), minlength=count)

    def _sent_bytes(self) -> I64:
        return np.array([each.sent_bytes for each in self._processes.lines.values()])

    def _step(self, layer: int, out: I64, came: Mapping[int, Frame], said: str) -> Step:
        """What the layer sent; answers are counted by what they are."""
        size = self.count + 1
        sent, weights = np.zeros((size, size), np.int64), np.zeros((size, size), np.int64)
        reports = tuple(Report.of(*came[party].arrays[1:]) for party in range(self.count))
        for party, report in enumerate(reports):
            sent[party, :-1], weights[party, :-1] = report.sent_bytes, report.weight_bytes
            sent[party, -1] = came[party].bytes
        sent[-1, :-1] = out
        return Step(layer, sent, weights, reports, said)

    def _put(self, frames: Mapping[int, Frame]) -> None:
        """Send what the sockets take at once; the rest goes out with the next wait."""
        try:
            for to, frame in frames.items():
                line = self._processes.lines[to]
                line.put(frame)
                line.write()
        except Gone as gone:
            raise self._processes.blamed(gone) from gone

    def _swap(self, sent: Mapping[int, Frame], awaited: Sequence[int] | range) -> dict[int, Frame]:
        try:
            return swap(self._processes.lines, sent, awaited, LONGER * self._task.patience_s + ENDING_S)
        except Gone as gone:
            raise self._processes.blamed(gone) from gone


def _plain(x: F32, chosen: I64, gates: F32) -> tuple[F32, I64, F32]:
    """As they travel."""
    return x.astype(np.float32), chosen.astype(np.int64), gates.astype(np.float32)


@contextmanager
def workers(
    native: I64, activation: str = "silu", ways: Ways | None = None, count: int = 0, note: Note | None = None
) -> Iterator[Workers]:
    """Worker processes that end with the block.

    Args:
        native: (layers, experts), the worker that holds each.
        activation: of the experts, by its name at transformers.
        ways: how they share the work.
        count: of workers; 0: as many as the map names.
        note: is told each step, which is then not kept in `traffic`: for who serves without an end.

    Raises:
        InputError: a map or an option that is none.
        WorkerDied: inside the block, a worker is gone or says nothing.
    """
    ways = ways or Ways()
    count = count or int(native.max(initial=0)) + 1
    if native.ndim != 2 or not native.size or native.min() < 0 or native.max() >= count:
        raise InputError("a map has a worker for each expert of each layer", needed=f"0 to {count - 1}",
                         had=str(native.shape))  # fmt: skip
    if activation not in ACTIVATIONS:
        raise InputError("workers do not know this activation", needed=", ".join(ACTIVATIONS), had=activation)
    task = Task(-1, count, {}, activation, ways.patience_s, tuple(map(tuple, native.tolist())),
                ways.copies_per_s, ways.transfer_s, ways.room, traced=ways.traced, copy_s=ways.copy_s)  # fmt: skip
    if ways.names and len(ways.names) != count:
        raise InputError("a name for each worker", needed=str(count), had=str(len(ways.names)))
    catalog.make(BALANCERS, ways.balancer)  # refused here rather than in every worker
    devices_of(task)
    there = Processes(task, pinned=ways.pinned, names=ways.names)
    try:
        yield Workers(native, task, ways, there, note)
    finally:
        there.close()


def even(layers: int, experts: int, count: int) -> NDArray[np.int64]:
    """A map of experts to workers in order, as many on each as can be.

    Raises:
        InputError: fewer experts than workers.
    """
    if not 1 <= count <= experts:
        raise InputError("a worker needs an expert", needed=f"1 to {experts} workers", had=str(count))
    return np.tile(np.arange(experts, dtype=np.int64) * count // experts, (layers, 1))
