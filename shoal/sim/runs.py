"""Units at work in simulated time: each does what takes no time, then chooses what to run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from shoal.events import Kernel
from shoal.program import Job, epoch_name
from shoal.record import Fact, Span
from shoal.sim.books import Flight, Post, Running, Spans, Unit, Work
from shoal.sim.carry import ARRIVAL, CHOICE, INSTANT, Carrier
from shoal.sim.scenario import Noise


class Runs:
    """What units send, skip and run."""

    def __init__(
        self, kernel: Kernel, spans: Spans, carrier: Carrier, flights: Mapping[int, Flight],
        noise: Noise | None, gates: Mapping[tuple[int, str], float],
    ) -> None:  # fmt: skip
        self._kernel, self._spans, self._carrier, self._flights = kernel, spans, carrier, flights
        self._noise, self._gates = noise, gates
        self.facts: list[Fact] = []
        self.ended_s = 0.0  # when the last run ended

    def pass_on(self, post: Post) -> None:
        """Do what takes no time, then choose once nothing else can happen at this moment."""
        ready, world, unit = post.ready, post.world, post.unit
        while unit.running is None and (job := ready.pick()) is not None:
            if job.step.kind == "send":
                way = world.ways[job.step.name]
                if way.inside:
                    ready.note(job.route, job.item, job.session, way.edge, job.empty)
                else:
                    self._carrier.send(way, self._flights[job.item], empty=job.empty)
                ready.take(job, {})
            elif job.empty:
                ready.take(job, world.works[job.step.name].skipped)
            else:
                self._kernel.at(self._kernel.now_s, unit.choose, CHOICE)
                return

    def choose(self, unit: Unit) -> None:
        """Begin the oldest item's segment, whichever epoch it is of."""
        if unit.running is not None:
            return
        jobs = [(job, post) for post in unit.posts if (job := post.ready.pick()) is not None]
        if jobs:
            job, post = min(jobs, key=_age) if len(jobs) > 1 else jobs[0]
            self._begin(post, job, post.world.works[job.step.name])

    def interrupt(self, unit: Unit) -> None:
        """What the unit runs ends now, unfinished."""
        if unit.running is not None:
            self._book(unit, unit.running, self._kernel.now_s - unit.running.begun_s)

    def _begin(self, post: Post, job: Job, work: Work) -> None:
        unit, seconds, now_s = post.unit, work.seconds, self._kernel.now_s
        if self._noise is not None:
            seconds *= self._noise.of_run(job.item, work.segment.name)
        end_s = now_s + seconds
        if unit.speeds is not None:
            end_s = unit.speeds.end_s(now_s, seconds)
            seconds = end_s - now_s
        unit.running = Running(work, job.item, now_s, end_s, seconds, self._spans.open())
        for edge, item in job.newest:
            self.facts.append(Fact(job.item, epoch_name(post.world.epoch, edge), "newest", float(item)))
        self._kernel.at(end_s, partial(self._end, post, unit.running, job), ARRIVAL)

    def _end(self, post: Post, running: Running, job: Job) -> None:
        unit, work = post.unit, running.work
        if unit.running is not running:  # it died
            return
        self._book(unit, running, running.seconds)
        given = work.given
        if work.segment.gate is not None:
            answer = self._gates.get((job.item, work.name), 1.0)
            self.facts.append(Fact(job.item, work.name, "gate", float(bool(answer))))
            given = work.given if answer else work.stopped
        post.ready.take(job, given)
        for each in unit.posts:
            self._kernel.at(self._kernel.now_s, each.pass_on, INSTANT)

    def _book(self, unit: Unit, running: Running, seconds: float) -> None:
        """A run ended after `seconds`: the unit is free again."""
        work, now_s = running.work, self._kernel.now_s
        unit.running, self.ended_s = None, now_s
        unit.busy_s += seconds
        work.ran_s += seconds
        if running.place >= 0:
            span = Span("run", unit.name, work.name, running.item, running.begun_s, now_s)
            self._spans.close(running.place, span)


def _age(pair: tuple[Job, Post]) -> int:
    return pair[0].item
