"""VGG-19 over two pinned processes: shoal against AutoDiCE, in alternating rounds.

    python -m bench.peers.autodice [--items 100] [--rounds 3] [--profile] COMMAND …

COMMAND runs AutoDiCE's own benchmark program (built elsewhere) over its two ranks pinned to cores 0 and 1, for as
many frames as the variable LOOPS says; the mean time a frame and the resident memory of each rank are read from
what that program prints. Shoal runs two plans of its own on the same cores, any engine allowed:

    fast   the shortest predicted period
    lean   the shortest one of those predicted to hold at most half of AutoDiCE's memory, over both processes
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from bench import _common as common
from shoal import fleet
from shoal import plan as planning
from shoal.errors import LimitError
from shoal.plan import Objective, Plan, Wishes
from shoal.plan.costs import costs_of
from shoal.run import Settings, execute

MODEL = "vgg19"
ENGINES = ("onnxruntime", "ncnn")
LIMITS = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)  # of the lean total, tried as the limit of a device
PATIENCE_S = 900.0
AVERAGE = re.compile(r"IRank: *(\d+) +min = .*avg = *([\d.]+)")
RESIDENT = re.compile(r"IRank: *(\d+), Physical Memory Usage \(KB\): *(\d+)")


@dataclass(frozen=True)
class Figures:
    """One run of either."""

    period_s: float
    resident_bytes: int  # of both processes


def main() -> None:
    """Print a line per plan, then everything as JSON."""
    parser = argparse.ArgumentParser(description="VGG-19 against AutoDiCE")
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="measure the ops anew before planning")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    if not options.command:
        parser.error("the command that runs AutoDiCE is missing")
    print(f"load before: {os.getloadavg()[0]:.2f} (figures of a busy machine are noise)")
    if options.profile:
        common.profile(MODEL, ENGINES)
    plans = plans_within(autodice(options.command, 1).resident_bytes // 2)
    rounds: dict[str, list[Figures]] = {name: [] for name in ("autodice", *plans)}
    for number in range(options.rounds):
        rounds["autodice"].append(autodice(options.command, options.items))
        for name, plan in plans.items():
            rounds[name].append(shoal(plan, options.items, compare=not number))
    show(plans, rounds)


def show(plans: dict[str, Plan], rounds: dict[str, list[Figures]]) -> None:
    """A line per contestant: period, times faster than AutoDiCE, memory and its share of AutoDiCE's."""
    theirs = rounds["autodice"]
    for name, found in rounds.items():
        faster = [their.period_s / ours.period_s for their, ours in zip(theirs, found, strict=True)]
        memory = [ours.resident_bytes / their.resident_bytes for their, ours in zip(theirs, found, strict=True)]
        period_ms = common.median([ours.period_s for ours in found]) * 1e3
        print(
            f"{name:9} {period_ms:7.1f} ms  {common.spread(faster)} x as fast  {common.spread(memory)} x memory",
            f" {placement(plans[name])}" if name in plans else "",
        )
    print(json.dumps({name: [asdict(figures) for figures in found] for name, found in rounds.items()}))


def placement(plan: Plan) -> str:
    """Which engine runs how many ops where."""
    return ", ".join(f"{len(group.ops)} ops by {group.engine} on {group.unit}" for group in plan.replicas[0].groups)


def autodice(command: Sequence[str], frames: int) -> Figures:
    """Run it and read what it prints.

    Raises:
        SystemExit: it failed, or printed something else.
    """
    surroundings = {**os.environ, "LOOPS": str(frames)}
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=surroundings, timeout=PATIENCE_S
    )
    printed = done.stdout + done.stderr
    averages_ms = {rank: float(average) for rank, average in AVERAGE.findall(printed)}
    resident_kib = {rank: int(size) for rank, size in RESIDENT.findall(printed)}
    if done.returncode or len(averages_ms) != 2 or len(resident_kib) != 2:
        raise SystemExit(f"AutoDiCE ended with code {done.returncode}:\n{printed[-2000:]}")
    return Figures(max(averages_ms.values()) / 1e3, sum(resident_kib.values()) * 1024)


def shoal(plan: Plan, items: int, *, compare: bool) -> Figures:
    """Run a plan."""
    run = execute(plan, Settings(items=items, compare=compare)).run
    if compare and not run.outputs_match:
        raise SystemExit(f"outputs differ by {run.max_abs_difference}")
    return Figures(run.period_s, sum(figures.resident_bytes or 0 for figures in run.devices.values()))


def plans_within(lean_bytes: int) -> dict[str, Plan]:
    """The fast plan and the lean one."""
    found = list(candidates(lean_bytes))
    lean = [plan for plan in found if sum(plan.prediction.memory_bytes.values()) <= lean_bytes]
    chosen = {"fast": min(found, key=lambda plan: plan.prediction.period_s)}
    return chosen | ({"lean": min(lean, key=lambda plan: plan.prediction.period_s)} if lean else {})


def two_cores() -> fleet.Fleet:
    """This machine as two devices of one core each that have every engine of ours."""
    device = '[devices.{}]\nboard = "this-machine"\ncores = [{}]\nunits.cpu.engines = [{}]\n'
    engines = ", ".join(f'"{engine}"' for engine in ENGINES)
    devices = [device.format(name, core, engines) for core, name in enumerate(("left", "right"))]
    return fleet.loads("".join(devices) + '[default_link]\nbandwidth = "8 GB/s"\nlatency = "50 us"\n')


def candidates(lean_bytes: int) -> Iterator[Plan]:
    """Plans over both cores, without a limit and under ever tighter ones."""
    loaded, reference = common.model(MODEL)
    machines = two_cores()
    costs = costs_of(loaded, machines)
    free = Wishes(Objective(("throughput", "memory")))
    for share in (None, *LIMITS):
        limit = None if share is None else round(share * lean_bytes)
        wishes = replace(free, objective=replace(free.objective, memory_limit_bytes=limit))
        try:
            front = planning.search(loaded, reference, machines, costs, wishes)
        except LimitError:
            return
        yield from (plan for plan in front.plans if len(plan.units) == 2)


if __name__ == "__main__":
    main()
