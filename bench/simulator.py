"""Events a second of the simulator, beside a bare simpy model of the same Program, and a large mesh.

    python -m bench.simulator [--rounds 5] [--large]

An event is one action of the kernel: a message that has crossed a hop, a segment that ended, a unit that passes on
what is ready, a unit that chooses, a decision of the driver. simpy counts its own: requests granted, timeouts,
processes begun and ended. As the two count different things, the line that compares them is items a second. The
simpy model holds only queues and times: no Program, no values, gates, sizes, spans or sums.

--large: 1,000 units, 2,000 routes of 1 to 8 units, 100,000 items.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import time
from collections.abc import Generator
from typing import Any

from shoal import catalog
from shoal.program import CLIENT, Edge, Hop, Pace, Program, Route, Segment, Step, Task, TensorSpec, Workload
from shoal.sim import Trial, attempt

GROUP, MEDIA = 40, 4  # units that share media, and how many
RATE, LATENCY_S = 12.5e6, 0.001
SPEC = TensorSpec("float32", (12_500,))


def mesh(units: int, routes: int, longest: int, window: int, seed: int = 0) -> tuple[Program, Pace]:
    """Routes over random units, one segment a unit; a message crosses the media of its sender and its reader."""
    source = random.Random(seed)
    names = [f"d{number}/cpu" for number in range(units)]
    ways = [[CLIENT, *source.sample(names, source.randint(1, min(longest, units))), CLIENT] for _ in range(routes)]
    edges = {
        (route, hop): Edge(f"r{route}.{hop}", way[hop], way[hop + 1], _gives(way[hop]), "x", SPEC, window)
        for route, way in enumerate(ways)
        for hop in range(len(way) - 1)
    }
    program = Program(
        "mesh",
        tuple(names),
        tuple(edges.values()),
        tuple(Segment(name, name, ("x",), ("y",), "null") for name in names),
        tuple(_route(route, way) for route, way in enumerate(ways)),
        window,
        {"x": SPEC, "y": SPEC},
    )
    hops = {
        edge.name: tuple(
            Hop(medium, RATE, LATENCY_S)
            for medium in dict.fromkeys(_medium(end, route) for end in (edge.source, edge.target) if end != CLIENT)
        )
        for (route, _), edge in edges.items()
    }
    return program, Pace({name: source.uniform(0.005, 0.05) for name in names}, hops)


def _gives(party: str) -> str:
    return "x" if party == CLIENT else "y"


def _medium(unit: str, route: int) -> str:
    return f"lan{int(unit[1:-4]) // GROUP}.{route % MEDIA}"


def _route(route: int, way: list[str]) -> Route:
    edges = [f"r{route}.{hop}" for hop in range(len(way) - 1)]
    tasks = tuple(
        Task(unit, (Step("recv", edges[at]), Step("run", unit), Step("send", edges[at + 1])))
        for at, unit in enumerate(way[1:-1])
    )
    return Route("main", (edges[0],), (edges[-1],), tasks)


def shoal_run(program: Program, pace: Pace, items: int) -> tuple[Trial, float]:
    """The run and the CPU seconds it took, the program's check included."""
    driver, workload = catalog.make("program/drivers", "stream"), Workload(items, window=program.window)
    start = time.process_time()
    trial = attempt(program, pace, driver, workload)
    return trial, time.process_time() - start


def simpy_run(program: Program, pace: Pace, items: int) -> tuple[float, int, float]:
    """Simulated seconds, simpy's events, and the CPU seconds the same queues take in simpy."""
    import simpy

    class Counting(simpy.Environment):
        events = 0

        def step(self) -> None:
            Counting.events += 1
            super().step()

    start = time.process_time()
    env = simpy.Environment()
    _simpy_model(simpy, env, program, pace, items)
    env.run()
    seconds = time.process_time() - start
    counted = Counting()
    _simpy_model(simpy, counted, program, pace, items)
    while counted.peek() < float("inf"):
        counted.step()
    return float(env.now), Counting.events, seconds


def _simpy_model(simpy: Any, env: Any, program: Program, pace: Pace, items: int) -> None:
    units = {name: simpy.PriorityResource(env) for name in program.units}
    media = {hop.medium: simpy.Resource(env) for hops in pace.hops.values() for hop in hops}
    room = simpy.Resource(env, program.window)
    size, edge = SPEC.bytes({}), program.edge
    ways = [[(pace.hops.get(name, ()), edge[name].target) for name in _edges_of(route)] for route in program.routes]

    def item(number: int) -> Generator[Any, Any, None]:
        with room.request() as place:
            yield place
            for hops, target in ways[number % len(ways)]:
                for hop in hops:
                    with media[hop.medium].request() as turn:
                        yield turn
                        yield env.timeout(size / hop.bytes_per_s)
                    yield env.timeout(hop.latency_s)
                if target != CLIENT:
                    with units[target].request(number) as turn:
                        yield turn
                        yield env.timeout(pace.segments_s[target])

    for number in range(items):
        env.process(item(number))


def _edges_of(route: Route) -> list[str]:
    return [route.inputs[0], *(task.steps[-1].name for task in route.tasks)]


CASES = {
    "chain of 8, window 16": (8, 1, 8, 16, 4_000),
    "40 units, 20 routes": (40, 20, 8, 64, 4_000),
    "400 units, 200 routes": (400, 200, 8, 800, 4_000),
}


def compare(rounds: int) -> None:
    """One line a case: both simulators take turns; medians."""
    print(
        f"{'case':<24}{'events/s':>10}{'items/s':>9}{'simpy events/s':>16}{'items/s':>9}{'ratio':>7}{'end s':>9}{'simpy':>9}"
    )
    for name, (units, routes, longest, window, items) in CASES.items():
        program, pace = mesh(units, routes, longest, window)
        ours, theirs = [], []
        for _ in range(rounds):
            trial, seconds = shoal_run(program, pace, items)
            ours.append(seconds)
            end_s, events, seconds = simpy_run(program, pace, items)
            theirs.append(seconds)
        mine, other = statistics.median(ours), statistics.median(theirs)
        last_s = max(answer.answered_s for answer in trial.observed.answers)
        print(
            f"{name:<24}{trial.events / mine:>10,.0f}{items / mine:>9,.0f}{events / other:>16,.0f}{items / other:>9,.0f}"
            f"{other / mine:>7.2f}{last_s:>9.2f}{end_s:>9.2f}"
        )


def large() -> None:
    """A thousand units, a hundred thousand items."""
    start = time.process_time()
    program, pace = mesh(1_000, 2_000, 8, 4_000)
    made_s = time.process_time() - start
    trial, seconds = shoal_run(program, pace, 100_000)
    observed = trial.observed
    print(
        f"1,000 units, 2,000 routes, {len(observed.answers):,} items: {seconds:.1f} s (made in {made_s:.1f} s), "
        f"{trial.events:,} events, {trial.events / seconds:,.0f}/s, {len(observed.spans):,} spans kept, "
        f"{observed.spans_dropped:,} counted, peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB"
    )


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--large", action="store_true")
    options = parser.parse_args()
    compare(options.rounds)
    if options.large:
        large()


if __name__ == "__main__":
    main()
