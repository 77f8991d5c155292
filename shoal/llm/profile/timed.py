"""`python -m shoal.llm.profile.timed`: the models of a Job, in turns, in a process that does nothing else."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal import catalog, codec
from shoal.llm.library import transformers_module
from shoal.llm.profile.fitting import lacks_memory, limited, no_fit
from shoal.llm.profile.passes import prefill, prompt, step
from shoal.llm.profile.subject import Subject
from shoal.llm.profile.timing import Job, Point, Protocol, Timed
from shoal.measure import spread
from shoal.measure.clocked import own_clock

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WARM_UP = 300  # tokens: more than a chunk


def main(job_file: str) -> None:
    """Do the job and print what was timed."""
    sys.stdout.buffer.write(codec.encode(timed(codec.load(Job, Path(job_file)))))


def timed(job: Job) -> tuple[Timed, ...]:
    """All models at all points."""
    transformers_module("torch").set_num_threads(job.protocol.threads)
    with ExitStack() as stack:
        models = [stack.enter_context(each.opened()) for each in job.subjects]
        for model in models:
            prefill(model, prompt(model, 1, WARM_UP))  # libraries load on the way, which is no part of a limit
        stack.enter_context(limited(job.protocol.limit_bytes))
        return tuple(each for point in job.points for each in _at(point, job, models))


def _at(point: Point, job: Job, models: list[PreTrainedModel]) -> list[Timed]:
    """All models at one point, in turns."""
    protocol = job.protocol
    turns = [_Turns(subject, model, point, protocol) for subject, model in zip(job.subjects, models, strict=True)]
    begun_s = time.monotonic()
    for done in range(protocol.repeats + 1):
        if done > protocol.least and time.monotonic() - begun_s > protocol.most_s:
            break
        for each in turns:
            each.take(counts=done > 0)
    return [each.told() for each in turns]


class _Turns:
    """What one model took at one point."""

    def __init__(self, subject: Subject, model: PreTrainedModel, point: Point, protocol: Protocol) -> None:
        self._subject, self._model, self._point, self._protocol = subject, model, point, protocol
        self._symbols = prompt(model, point.batch, point.context)
        self._prefill_s: list[float] = []
        self._decode_s: list[float] = []
        self._joules = [0.0, 0.0]
        self._meter, self._metered = _meter(protocol)
        self._fault = ""

    def take(self, counts: bool) -> None:
        """A prefill and the tokens after it."""
        if self._fault:
            return
        try:
            self._take(counts)
        except (RuntimeError, MemoryError) as fault:
            if not lacks_memory(fault):
                raise
            self._fault = no_fit(fault)

    def _take(self, counts: bool) -> None:
        clock = own_clock(self._protocol.threads)
        reading, begun_s = self._meter.start(), clock()
        read = prefill(self._model, self._symbols, self._subject.passes)
        prefill_s, prefill_j = clock() - begun_s, reading.stop() or 0.0
        reading, times_s = self._meter.start(), []
        for _ in range(self._protocol.steps):
            begun_s = clock()
            read = step(self._model, read.logits.argmax(-1, keepdim=True), read)
            times_s.append(clock() - begun_s)
        if counts:
            self._prefill_s.append(prefill_s)
            self._decode_s += times_s
            self._joules = [self._joules[0] + prefill_j, self._joules[1] + (reading.stop() or 0.0)]

    def told(self) -> Timed:
        """Median and quartiles of the rounds that count."""
        if self._fault:
            return Timed(self._subject.name, self._point, fault=self._fault)
        return Timed(
            self._subject.name,
            self._point,
            spread(self._prefill_s),
            spread(self._decode_s) if self._decode_s else None,
            self._joules[0] / len(self._prefill_s),
            self._joules[1] / max(len(self._decode_s), 1),
            self._metered,
        )


def _meter(protocol: Protocol) -> tuple[Any, bool]:
    """The machine's counters, or stated power; and whether it is the former."""
    counters = catalog.make("measure/meters", "rapl")
    if counters.available:
        return counters, True
    return catalog.make("measure/meters", f"model:idle_w={protocol.idle_w},core_w={protocol.core_w}"), False


if __name__ == "__main__":
    main(sys.argv[1])
