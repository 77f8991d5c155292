"""Seconds the exact chain programme takes on seeded random chains, on one thread, and how good its early fronts are.

Run: OMP_NUM_THREADS=1 python -m bench.chain_dp [figures|anytime|numpy]...   (default: figures anytime)
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from shoal.kernels import Kernel
from shoal.plan.chain import GOALS, Chain, Order
from shoal.plan.chain_solve import ChainFront, solve
from shoal.search import hypervolume, representatives

SEEDS = (0, 1, 2)
COMPARED = 100  # plans of each front whose volume is compared: a spread of it


@dataclass(frozen=True)
class Case:
    """A size of chain and what is asked of it."""

    cuts: int
    units: int
    order: Order
    goals: Sequence[str] = GOALS
    each: int = 1  # units of every kind
    aim_s: float | None = None
    kernel: Kernel | None = None

    def chain(self, seed: int) -> Chain:
        """The seeded chain."""
        chain = unlike_chain(seed, self.cuts, self.units // self.each)
        return several_of_each(chain, self.each) if self.each > 1 else chain

    def solved(self, seed: int, time_limit_s: float = 60.0) -> tuple[ChainFront, float, float]:
        """The front, the seconds it took, and those of the processor."""
        chain, began, cpu_began = self.chain(seed), time.perf_counter(), time.process_time()
        found = solve(chain, self.order, self.goals, time_limit_s=time_limit_s, kernel=self.kernel)
        return found, time.perf_counter() - began, time.process_time() - cpu_began

    def __str__(self) -> str:
        kinds = f" of {self.units // self.each} kinds" if self.each > 1 else ""
        few = "" if len(self.goals) == len(GOALS) else " " + ",".join(self.goals)
        return f"{self.cuts} x {self.units}{kinds}, {self.order} order{few}"


FIGURES = (
    Case(120, 8, "given", aim_s=1.5),
    Case(120, 6, "any", aim_s=2.0),
    Case(120, 8, "any", each=2, aim_s=5.0),
    Case(120, 8, "any", ("latency", "period", "energy"), aim_s=5.0),
    Case(120, 8, "any", aim_s=60.0),
    Case(60, 4, "any", aim_s=3.0),
    Case(60, 5, "any"),
    Case(60, 8, "any"),
)
NUMPY = tuple(Case(60, units, order, kernel="numpy") for units, order in ((4, "any"), (5, "any"), (4, "given")))
ANYTIME, LIMITS_S = Case(120, 8, "any"), (0.25, 0.5, 1.0, 2.0, 5.0, 60.0)


def unlike_chain(seed: int, pieces: int, units: int) -> Chain:
    """Layers of uneven work on boards of uneven speed, power and links; no two alike, none shared."""
    rng = np.random.default_rng(seed)
    flop = rng.lognormal(0, 0.7, pieces) * 4e9 / pieces
    flop_per_s, busy_w = rng.uniform(5e9, 60e9, units), rng.uniform(2, 15, units)
    seconds = flop[:, None] / flop_per_s * rng.uniform(0.7, 1.4, (pieces, units))
    weights = rng.lognormal(0, 1, (pieces, 1)) * 5e7 / pieces
    cut_bytes = rng.lognormal(0, 0.8, pieces + 1) * 4e5
    bytes_per_s = rng.uniform(5e6, 1.2e8, (units, units))
    busy = cut_bytes[:, None, None] / np.minimum(bytes_per_s, bytes_per_s.T)
    return Chain(
        seconds=seconds,
        joules=seconds * busy_w * rng.uniform(0.8, 1.2, (pieces, units)),
        weights_bytes=np.repeat(weights, units, axis=1),
        live_bytes=np.repeat((cut_bytes[:-1] + cut_bytes[1:])[:, None], units, axis=1),
        cut_bytes=cut_bytes,
        hop_s=busy + rng.uniform(2e-4, 3e-3, (units, units)),
        hop_busy_s=busy,
        send_j=rng.uniform(1e-9, 5e-8, units),
        recv_j=rng.uniform(1e-9, 5e-8, units),
        entry_s=np.zeros(units),
        exit_s=np.zeros(units),
        idle_w=rng.uniform(0.5, 6, units),
        device_of=np.arange(units),
        base_bytes=rng.uniform(2e7, 6e7, units),
        memory_limit=np.full(units, 1e9),
        window=4,
    )


def several_of_each(chain: Chain, each: int) -> Chain:
    """The same boards, so many of each."""
    kind = np.repeat(np.arange(chain.units), each)
    pieces = {name: getattr(chain, name)[:, kind] for name in ("seconds", "joules", "weights_bytes", "live_bytes")}
    hops = {name: getattr(chain, name)[:, kind][:, :, kind] for name in ("hop_s", "hop_busy_s")}
    boards = ("send_j", "recv_j", "entry_s", "exit_s", "idle_w", "base_bytes", "memory_limit")
    units = {name: getattr(chain, name)[kind] for name in boards}
    return replace(chain, **pieces, **hops, **units, device_of=np.arange(len(kind)))


def volume(found: ChainFront, corner: np.ndarray, whole: np.ndarray) -> float:
    """Share of the volume that a spread of `whole` covers that one of `found` does."""
    few = found.objectives[representatives(found.objectives, COMPARED)]
    return hypervolume(few, corner) / hypervolume(whole, corner)


def figures(cases: Sequence[Case]) -> None:
    """One line a case and seed."""
    print(f"{'case':<55} seed  seconds    cpu s  plans  exact  aim")
    for case in cases:
        for seed in SEEDS:
            found, seconds, cpu_s = case.solved(seed)
            aim = f"<= {case.aim_s:g} s" if case.aim_s else "-"
            row = f"{case!s:<55} {seed:>4} {seconds:>8.2f} {cpu_s:>8.2f} {len(found.groups):>6}"
            print(f"{row}  {found.exact!s:<5}  {aim}", flush=True)


def anytime() -> None:
    """Early fronts of the hardest case against its exact one, or against the best there is after a minute."""
    print(f"{ANYTIME}: volume of a spread of {COMPARED} plans against the exact front's")
    print("seed  limit s  seconds  plans  exact  in the exact front  volume")
    for seed in SEEDS:
        exact, *_ = ANYTIME.solved(seed, 600.0)
        corner = exact.objectives.max(axis=0) * 1.01
        whole = exact.objectives[representatives(exact.objectives, COMPARED)]
        known = {tuple(row) for row in exact.objectives.tolist()}
        for limit_s in LIMITS_S:
            found, seconds, _ = ANYTIME.solved(seed, limit_s)
            share = sum(tuple(row) in known for row in found.objectives.tolist()) / len(known)
            ratio = volume(found, corner, whole)
            row = f"{seed:>4} {limit_s:>8g} {seconds:>8.2f} {len(found.groups):>6}  {found.exact!s:<5}"
            print(f"{row} {share:>18.1%} {ratio:>8.4f}", flush=True)


def main() -> None:
    """The parts asked for."""
    parts = {"figures": lambda: figures(FIGURES), "anytime": anytime, "numpy": lambda: figures(NUMPY)}
    for name in sys.argv[1:] or ("figures", "anytime"):
        parts[name]()


if __name__ == "__main__":
    main()
