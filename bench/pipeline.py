"""Two stages on two cores against one process on one core, and against PyTorch RPC running the same two halves.

Run on a quiet machine of at least two cores:

    python -m bench.pipeline [--items 100] [--rounds 5] [--torch-python PYTHON] [model …]

In each round take turns, all with onnxruntime on one thread a process and the same weights:

    plain    a plain onnxruntime loop over the whole model, pinned to core 0
    one      shoal, one stage pinned to core 0, over shared memory
    alone    plain loops over the two halves that shoal's planner chose, one after the other, each on its core
    both     the same two loops at the same time, nothing passing between them
    two      shoal, the two halves on cores 0 and 1, over shared memory
    torch    PyTorch RPC, the same two files on the same cores (with --torch-python, or SHOAL_TORCH_PYTHON)

Each is a period: mean seconds an item (of a pipe: between answers once it is full). Ratios are taken in each round:

    one_stage = plain / one                    what shoal costs on one core (1: nothing)
    speedup   = plain / two                    what the second core brings
    limit     = plain / slower half of `both`  what the stages' balance, measured with both running, allows
    of_limit  = speedup / limit                share of it that is reached
    utilised  = busiest worker's busy time / (items x two)   the same from within the run
    contended = slower of `both` / slower of `alone`         what the halves cost each other, through memory
    vs_torch  = torch / two                    above 1: faster than PyTorch RPC
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import _common as common
from bench._loops import Loop, periods_s
from shoal.plan import Plan, Wishes, lower
from shoal.plan.written import with_files
from shoal.record import Run
from shoal.run import Settings, execute

ENGINES = Wishes(engines=("onnxruntime",))
TORCH_RPC = Path(__file__).parent / "peers" / "torch_rpc.py"
PATIENCE_S = 900.0  # for one run of a peer
COLUMNS = ("one_stage", "speedup", "limit", "of_limit", "utilised", "contended", "vs_torch")


@dataclass(frozen=True)
class Contest:
    """What takes turns in a round."""

    model: Path
    one: Plan
    two: Plan
    halves: tuple[Loop, Loop]
    shape: tuple[int, ...]  # of the input


@dataclass(frozen=True)
class Shown:
    """What is kept of a run of shoal's."""

    period_s: float
    busy_s: Mapping[str, float]  # an item, by device
    resident_bytes: Mapping[str, int | None]
    outputs_match: bool | None


@dataclass(frozen=True)
class Round:
    """Seconds an item of every way, taken one after another."""

    plain_s: float
    one: Shown
    alone_s: tuple[float, ...]  # by half
    both_s: tuple[float, ...]
    two: Shown
    torch: Mapping[str, Any]  # empty: not run

    @property
    def ratios(self) -> dict[str, float]:
        """See the top of this file."""
        period_s, slower_s = self.two.period_s, max(self.both_s)
        found = {
            "one_stage": self.plain_s / self.one.period_s,
            "speedup": self.plain_s / period_s,
            "limit": self.plain_s / slower_s,
            "of_limit": slower_s / period_s,
            "utilised": max(self.two.busy_s.values()) / period_s,
            "contended": slower_s / max(self.alone_s),
        }
        return found | ({"vs_torch": self.torch["period_s"] / period_s} if self.torch else {})


def main() -> None:
    """Print a table of ratios, then everything as JSON."""
    options = arguments()
    print(f"load before: {os.getloadavg()[0]:.2f} (figures of a busy machine are noise)")
    print(f"{'model':12}", *(f"{name:>21}" for name in COLUMNS))
    print(json.dumps({name: one_model(name, options) for name in options.models}))


def one_model(name: str, options: argparse.Namespace) -> dict[str, object]:
    """All rounds for one model."""
    if options.profile:
        common.profile(name)
    contest = contest_of(name)
    rounds = [
        one_round(contest, options.items, options.torch_python, compare=not number)
        for number in range(options.rounds)
    ]
    spreads = {key: [row.ratios[key] for row in rounds] for key in COLUMNS if key in rounds[0].ratios}
    print(
        f"{name:12}",
        *(f"{common.spread(spreads[key]) if key in spreads else '-':>21}" for key in COLUMNS),
        flush=True,
    )
    return {
        "cut": contest.two.reasons[:1],
        "predicted_period_s": contest.two.prediction.period_s,
        "ratios": {key: common.median(values) for key, values in spreads.items()},
        "rounds": [asdict(row) for row in rounds],
    }


def contest_of(name: str) -> Contest:
    """Plans for one and two cores, and the two halves as the files that shoal's workers get."""
    loaded, reference = common.model(name)
    one = common.front(name, common.one_core(), ENGINES).plan
    pairs = [plan for plan in common.front(name, common.two_cores(), ENGINES).plans if len(plan.units) == 2]
    two = min(pairs, key=lambda plan: plan.prediction.period_s)
    program, folder = with_files(loaded, lower(loaded, two))[:2]
    first, second = program.segments
    loops = (Loop(folder / half.files[0], core_of(two, half.unit)) for half in (first, second))
    shape = loaded.tensors[loaded.inputs[0]].shape
    return Contest(Path(reference.path), one, two, (next(loops), next(loops)), tuple(int(size) for size in shape))


def core_of(plan: Plan, unit: str) -> int:
    """The core that the worker of `unit` is pinned to."""
    return (plan.fleet.device(unit).cores or (0,))[0]


def one_round(contest: Contest, items: int, torch_python: str, *, compare: bool) -> Round:
    """Every way once."""
    first, second = contest.halves
    (plain_s,) = periods_s([Loop(contest.model, 0)], items)
    one = shown(execute(contest.one, Settings(items=items, compare=compare)).run)
    alone_s = (*periods_s([first], items), *periods_s([second], items))
    both_s = periods_s([first, second], items)
    two = shown(execute(contest.two, Settings(items=items, compare=compare)).run)
    torch = torch_rpc(contest, items, torch_python) if torch_python else {}
    return Round(plain_s, one, alone_s, both_s, two, torch)


def shown(run: Run) -> Shown:
    """What is kept of a run."""
    return Shown(
        run.period_s,
        busy_s={name: figures.busy_s / run.items for name, figures in run.devices.items()},
        resident_bytes={name: figures.resident_bytes for name, figures in run.devices.items()},
        outputs_match=run.outputs_match,
    )


def torch_rpc(contest: Contest, items: int, python: str) -> dict[str, Any]:
    """The same halves on the same cores over PyTorch RPC, under another interpreter."""
    shape = ",".join(str(size) for size in contest.shape)
    cores = ",".join(str(half.core) for half in contest.halves)
    paths = [str(half.path) for half in contest.halves]
    command = [python, str(TORCH_RPC), *paths, shape, "--cores", cores, "--items", str(items)]
    command += ["--window", str(contest.two.workload.window)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    if done.returncode:
        raise SystemExit(f"PyTorch RPC failed with code {done.returncode}:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="two stages on two cores")
    parser.add_argument("models", nargs="*", default=["resnet50", "vgg19"])
    parser.add_argument("--items", type=int, default=100, help="in each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="measure the ops anew before planning")
    parser.add_argument(
        "--torch-python", default=os.environ.get("SHOAL_TORCH_PYTHON", ""), help="an interpreter that has torch"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
