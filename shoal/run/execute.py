"""Run a plan: write its segments, start its workers, drive them, compare the answers, account for everything."""

from __future__ import annotations

import math
import os
import platform
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import shoal
from shoal import catalog
from shoal.cost import About, Match, account, hops, pace
from shoal.errors import InputError, PaceError, PlanError, WorkerDied
from shoal.graph import Graph, divide, load
from shoal.plan.lower import lower
from shoal.plan.values import ModelRef, Plan
from shoal.plan.written import with_files
from shoal.program import Driver, Pace, Program, Workload
from shoal.program.bundle import Bundle, Manifest
from shoal.record import Observed, Outline, Provenance, Run
from shoal.run.coordinator import Coordinator, Outcome
from shoal.run.crew import Crew, Watch
from shoal.run.deploy import lay_out, manifest_of
from shoal.run.expected import expected
from shoal.run.goals import with_goals
from shoal.run.inputs import check_inputs
from shoal.run.local import Elsewhere, Processes, Threads, Workers
from shoal.run.roster import Standby
from shoal.run.samples import Arrays, Samples, answered, compare, digest, drawn
from shoal.run.throttle import Throttling, Way, throttling
from shoal.run.upkeep import Upkeep
from shoal.wire import Endpoint, Transport, write_links
from shoal.wire.transports.shaped import Shaped
from shoal.worker import Offset

LOAD = 0.5  # share of this machine's cores that emulated boards may keep busy; above 0.6 sleeps come late
MOST_LATE = 0.01  # share of late items above which a run is not called emulated
ATTEMPTS = 4  # each twice as slow as the one before
WARM_ITEMS = 3  # one at a time before the run: they warm every buffer, and give the latency of an empty pipe


@dataclass(frozen=True)
class Settings:
    """How to run a plan."""

    items: int = 32
    over: str = "shm"  # a transport with its options
    emulate: bool = False  # pace workers and links to their boards
    compare: bool = True  # against the undivided model
    seed: int = 0  # of drawn inputs
    patience_s: float = 60.0  # how long nothing may happen
    samples: int = 4  # distinct drawn inputs
    throttle: Way = "auto"  # how devices with a `speed` are slowed: the kernel's quota, pacing, or what suits
    workload: Workload | None = None  # what arrives, in place of `items` of the plan's own
    there: bool = False  # it ran on the plan's devices themselves


Calling = Callable[[Plan, Program, Path], AbstractContextManager[Crew]]  # workers of a program, with its files


@dataclass(frozen=True)
class Result:
    """The Run, and why it ended early if it did; what was done until then is kept."""

    run: Run
    failure: str = ""
    answers: Mapping[int, Arrays] | None = None


def model_of(plan: Plan) -> Graph:
    """The plan's graph, loaded from its file and divided as planned; its base is the undivided one.

    Raises:
        PlanError: the file is not the one that was planned for.
    """
    graph = _loaded(plan.model)
    if graph.sha256 != plan.model.sha256:
        raise PlanError(
            "the model's file changed since it was planned",
            where=plan.model.path,
            needed=plan.model.sha256[:16],
            had=graph.sha256[:16],
            hint="plan again",
        )
    return divide(graph, plan.splits).graph


def _loaded(model: ModelRef) -> Graph:
    if not model.entry:
        return load(model.path, model.shapes, model.sizes, model.carried)
    made: Graph = catalog.make("llm/blocks", model.entry).graph(model.path)
    return made


def execute(
    plan: Plan,
    settings: Settings,
    given: Samples | None = None,
    progress: Callable[[int], None] = lambda _: None,
    there: Calling | None = None,
) -> Result:
    """Run `plan` with a worker for each unit; `progress` is told the number of items done.

    `there` calls the workers to the devices themselves; without it they are processes here.

    Raises:
        PlanError: the model changed, or no longer fits the plan.
        InputError: an input is missing, or has the wrong type or shape.
        PaceError: this machine could not keep up with the boards it was to emulate.
        WorkError: a worker could not start.
    """
    graph = model_of(plan)
    program, folder = with_files(graph, lower(graph, plan))
    samples = given or drawn(
        {name: program.tensors[name] for name in graph.inputs}, settings.samples, settings.seed
    )
    for item in samples.inputs:
        check_inputs(program, item)
    tempo = pace_of(plan, program) if settings.emulate else None
    called = _called(there, plan, program, folder) if there else connected(plan, program, folder, settings, tempo)
    with called as coordinator:
        driven = _drive(coordinator, plan, settings, samples, progress)
    if settings.compare and not samples.expected and not driven.outcome.failure:  # a loss is to be told at once
        samples = answered(graph, samples, driven.workload, plan.machines)
    settings = replace(settings, there=there is not None)
    return _result(plan, program, settings, samples, driven, outline_of(graph, plan))


@contextmanager
def _called(there: Calling, plan: Plan, program: Program, folder: Path) -> Iterator[Coordinator]:
    with there(plan, program, folder) as crew:
        yield Coordinator.over(crew)


def drive(plan: Plan, program: Program, endpoint: Endpoint, settings: Settings, samples: Samples) -> Result:
    """Run a program whose workers were started elsewhere and are connected through `endpoint`."""
    try:
        coordinator = Coordinator(program, endpoint, None, settings.patience_s)
        coordinator.wait_ready()
        driven = _drive(coordinator, plan, settings, samples, lambda _: None)
    finally:
        endpoint.close()
    return _result(plan, program, settings, samples, driven, Outline((), (), (), (), ()))


@dataclass(frozen=True)
class Driven:
    """The last attempt at a run; the pace it went at; and how long one item took in an empty pipe."""

    outcome: Outcome
    workload: Workload
    answers: Mapping[int, Arrays]
    alone_s: float | None
    stretch: float
    offsets: Mapping[str, Offset]


def _drive(
    coordinator: Coordinator, plan: Plan, settings: Settings, samples: Samples, progress: Callable[[int], None]
) -> Driven:
    """Warm up, then the items asked for."""
    workload = settings.workload or replace(plan.workload, items=settings.items)
    stretch = stretch_of(plan, warm(coordinator, samples)) if settings.emulate else 1.0
    return attempt(coordinator, catalog.make("program/drivers", "stream"), workload, samples, stretch, progress)


def attempt(
    coordinator: Coordinator,
    driver: Driver,
    workload: Workload,
    samples: Samples,
    stretch: float,
    progress: Callable[[int], None],
    upkeep: Upkeep | None = None,
) -> Driven:
    """Run `workload`; an emulation that comes late is repeated more slowly, a few times."""
    for _ in range(ATTEMPTS):
        answers: dict[int, Arrays] = {}
        alone = warm(coordinator, samples, stretch).observed
        outcome = coordinator.run(driver, workload, samples.of, _collect(answers, progress), stretch, upkeep=upkeep)
        driven = Driven(outcome, workload, answers, _median_latency(alone), stretch, coordinator.offsets)
        if outcome.failure or (outcome.observed.late_share or 0.0) <= MOST_LATE:
            break
        stretch *= 2
    if not driven.outcome.failure:
        coordinator.stop()
    return driven


def stretch_of(plan: Plan, warm: Outcome) -> float:
    """How many times slower than the boards this machine must go to keep up with all of them.

    Their own computing may take at most LOAD of the cores, and no unit may compute longer than its board would.
    """
    own_s = {unit: (report.cpu_s or 0.0) / WARM_ITEMS for unit, report in warm.observed.units.items()}
    board_s = {unit: report.busy_s / WARM_ITEMS for unit, report in warm.observed.units.items()}
    cores = len(os.sched_getaffinity(0))
    needed = sum(own_s.values()) / (LOAD * cores * plan.prediction.period_s)
    needed = max([needed, *(own_s[unit] / (LOAD * board_s[unit]) for unit in own_s if board_s[unit] > 0)])
    return max(1.0, math.ceil(needed * 2) / 2)


def pace_of(plan: Plan, program: Program) -> Pace:
    """The boards' times as the plan estimated them."""
    return pace(program, plan.fleet, {name: estimate.seconds for name, estimate in plan.estimates.items()})


@contextmanager
def connected(
    plan: Plan,
    program: Program,
    folder: Path,
    settings: Settings,
    tempo: Pace | None,
    others: Mapping[int, Standby] | None = None,
) -> Iterator[Coordinator]:
    """Workers for every unit, loaded and ready; they are gone afterwards, whatever happened.

    `others`: the epochs that a driver may switch to.

    Raises:
        InputError: they would not be ours to start.
        WorkError: a worker could not start.
    """
    with _started(plan, program, folder, settings, tempo) as (endpoint, watch):
        coordinator = Coordinator(program, endpoint, tempo, settings.patience_s, watch, others)
        try:
            coordinator.wait_ready()
            yield coordinator
        finally:
            coordinator.close()


@contextmanager
def crewed(plan: Plan, program: Program, folder: Path, settings: Settings, tempo: Pace | None) -> Iterator[Crew]:
    """The same workers without a coordinator, for one that has others already."""
    with _started(plan, program, folder, settings, tempo) as (endpoint, watch):
        crew = Crew(program, endpoint, tempo, settings.patience_s, watch)
        crew.wait_ready()
        yield crew


@contextmanager
def _started(
    plan: Plan, program: Program, folder: Path, settings: Settings, tempo: Pace | None
) -> Iterator[tuple[Endpoint, Watch]]:
    if _carries(settings.over) == "mpi":
        raise InputError("MPI starts its processes itself", hint="shoal pack, then the folder's mpirun.sh")
    slowed = throttling_of(plan, settings)
    manifests = {
        unit: manifest_of(program, unit, folder, threads=threads, cores=cores, pace=tempo, speed=slowed.paced(unit))
        for unit in program.units
        for threads, cores in (_share(plan, unit, settings),)
    }
    with tempfile.TemporaryDirectory(prefix="shoal-") as scratch:
        over = _over(plan, program, settings, Path(scratch))
        transport = catalog.make("wire/transports", over)
        workers = _start(plan, program, manifests, folder, Path(scratch), over, transport)
        try:
            endpoint = transport.client(program, workers.addresses())
            try:
                with slowed.held(workers):
                    yield endpoint, workers.watch
            finally:
                endpoint.close()
        finally:
            workers.close()


def throttling_of(plan: Plan, settings: Settings) -> Throttling:
    """How devices slower than this machine are made real; an emulation's pace has their speed in it already.

    Raises:
        PaceError: this machine cannot be all of them.
    """
    if settings.emulate:
        return Throttling()
    return throttling(plan, settings.throttle, processes=_carries(settings.over) != "memory")


def _carries(over: str) -> str:
    """The name of the transport that carries the messages: for one that shapes links, the inner one's."""
    transport = catalog.make("wire/transports", over)
    return (transport.inner if isinstance(transport, Shaped) else over).partition(":")[0]


def _over(plan: Plan, program: Program, settings: Settings, scratch: Path) -> str:
    """The transport; if it shapes links and has none yet, they are those of the plan's fleet."""
    name, _, options = settings.over.partition(":")
    if name != "shaped" or "links=" in options:
        return settings.over
    if settings.emulate:
        raise InputError("emulated boards have the fleet's links already", hint="--over shm, or no --emulate")
    links = f"links={write_links(hops(program, plan.fleet), scratch)}"
    return f"{name}:{','.join(filter(None, (options, links)))}"


def _start(
    plan: Plan,
    program: Program,
    manifests: Mapping[str, Manifest],
    source: Path,
    scratch: Path,
    over: str,
    transport: Transport,
) -> Workers:
    """Threads over memory, workers that already run where their devices have addresses, else processes here."""
    if _carries(over) == "memory":
        return Threads({unit: Bundle(program, manifest, source) for unit, manifest in manifests.items()}, transport)
    if over.partition(":")[0] == "tcp":
        there = {unit: plan.fleet.device(unit).address for unit in manifests}
        if all(there.values()):
            return Elsewhere({unit: address for unit, address in there.items() if address})
        if any(there.values()):
            missing = [unit for unit, address in there.items() if not address]
            raise PlanError("some devices have an address and some have not", had=f"none for {', '.join(missing)}")
    folders = {unit: scratch / unit.replace("/", "-") for unit in manifests}
    for unit, manifest in manifests.items():
        lay_out(program, manifest, source, folders[unit])
    return Processes(folders, over)


def _share(plan: Plan, unit: str, settings: Settings) -> tuple[int, tuple[int, ...]]:
    """Threads and cores of a local worker; together no more threads than this machine has cores.

    Above that, threads of one worker wait for another's. An emulated board needs only to be quicker than the board.
    """
    device = plan.fleet.device(unit)
    if settings.emulate:
        return 1, ()
    if device.cores is not None:
        return len(device.cores), device.cores
    here = len(os.sched_getaffinity(0)) // len(plan.units)
    return max(1, min(plan.fleet.unit(unit).cores, here)), ()


def warm(coordinator: Coordinator, samples: Samples, stretch: float = 1.0, first: int | None = None) -> Outcome:
    """A few items one at a time, in the epoch `first`.

    Raises:
        WorkerDied: a worker did not survive them.
    """
    driver = catalog.make("program/drivers", "stream")
    outcome = coordinator.run(driver, Workload(WARM_ITEMS, window=1), samples.of, lambda *_: None, stretch, first)
    if outcome.failure:
        raise WorkerDied(outcome.failure)
    return outcome


def _median_latency(observed: Observed) -> float:
    latencies = sorted(answer.answered_s - answer.arrived_s for answer in observed.answers)
    return latencies[len(latencies) // 2]


def _collect(answers: dict[int, Arrays], progress: Callable[[int], None]) -> Callable[[int, Arrays], None]:
    def keep(item: int, outputs: Arrays) -> None:
        answers[item] = outputs
        progress(len(answers))

    return keep


def _result(
    plan: Plan, program: Program, settings: Settings, samples: Samples, driven: Driven, outline: Outline
) -> Result:
    outcome, answers = driven.outcome, driven.answers
    refuse_late(outcome.observed.late_share)
    compared = compare(samples, answers) if samples.expected and answers else None
    run = account(
        outcome.observed,
        program,
        plan.fleet,
        workload=driven.workload,
        provenance=provenance_of(plan, settings),
        about=about(plan, settings, remarks(plan, settings, driven)),
        outline=outline,
        prediction=expected(plan, program, driven.workload),
        match=Match(
            output_digests={item: digest(outputs) for item, outputs in answers.items()},
            outputs_match=compared.match if compared else None,
            max_abs_difference=compared.max_abs_difference if compared else None,
            reference_magnitude=compared.reference_magnitude if compared else None,
        ),
    )
    run = with_goals(replace(run, alone_latency_s=driven.alone_s, front=plan.front), plan)
    return Result(run, outcome.failure, answers)


def provenance_of(plan: Plan, settings: Settings) -> Provenance:
    """Of a run's times."""
    return "emulated" if settings.emulate or throttling_of(plan, settings).speeds else "measured"


def refuse_late(late: float | None) -> None:
    """Refuse a run that is not an emulation, because too much of it came late.

    Raises:
        PaceError: saying how much.
    """
    if late is not None and late > MOST_LATE:
        raise PaceError(
            "this machine cannot keep up with the boards it emulates",
            needed=f"at most {MOST_LATE:.0%} of items late",
            had=f"{late:.0%}",
            hint="emulate fewer or slower boards, or run without --emulate",
        )


def about(plan: Plan, settings: Settings, notes: tuple[str, ...]) -> About:
    """How this run came to be."""
    import numpy
    import onnxruntime

    versions = {"shoal": shoal.__version__, "python": platform.python_version()}
    versions |= {"numpy": numpy.__version__, "onnxruntime": onnxruntime.__version__}
    return About(
        name=f"{plan.model.name} on {len(plan.units)} units",
        model=plan.model.name,
        seed=settings.seed,
        versions=versions,
        started_at=datetime.now(UTC).isoformat(timespec="seconds"),
        notes=notes,
    )


def outline_of(graph: Graph, plan: Plan) -> Outline:
    """The graph in small, with who ran what."""
    return Outline(
        ops=tuple(op.name for op in graph.ops),
        kinds=tuple(op.kind for op in graph.ops),
        macs=tuple(op.macs for op in graph.ops),
        units=tuple(plan.owners[op.name] for op in graph.ops),
        arrows=tuple(
            (producer, reader) for name, producer in graph.producer.items() for reader in graph.consumers[name]
        ),
    )


def _simulated(plan: Plan) -> list[str]:
    return sorted({plan.owners[op] for op in plan.machines})


def remarks(plan: Plan, settings: Settings, driven: Driven) -> tuple[str, ...]:
    """What a reader of the Run must know of how it was made."""
    found = [f"the run ended early: {driven.outcome.failure}"] * bool(driven.outcome.failure)
    found += driven.outcome.notes
    if driven.stretch > 1:
        found.append(f"emulated {driven.stretch:g} times slower than the boards, times divided by as much")
    behind_s = [each.behind_s for each in driven.outcome.observed.units.values() if each.behind_s is not None]
    if note := throttling_of(plan, settings).note:
        found.append(f"{note}, at most {max(behind_s) * 1e3:.1f} ms behind" if behind_s else note)
    found += [
        f"{unit} is simulated: values are the machine's, its seconds here are not; see shoal simulate"
        for unit in _simulated(plan)
    ]
    boards = sorted({plan.fleet.device(unit).board for unit in plan.units} - {"this-machine", ""})
    if boards and not settings.emulate and not settings.there:
        found.append(f"measured on this machine, not on {', '.join(boards)}; --emulate paces to them")
    if settings.over.partition(":")[0] == "shaped":
        found.append(f"links shaped to the fleet's on this machine: {settings.over}")
    for unit, clock in driven.offsets.items():
        found.append(f"the clock of {unit} was {clock.ahead_s:+.6f} s from the client's, to {clock.error_s:.6f} s")
    return tuple(found)
