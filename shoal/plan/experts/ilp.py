"""Two integer programmes: experts into groups of equal work, then groups onto hosts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.errors import InputError
from shoal.plan.experts._evaluate import one_hot
from shoal.plan.experts._mean import Mean
from shoal.plan.experts._programme import Question
from shoal.plan.experts._room import layer_room
from shoal.plan.experts._search import improved
from shoal.plan.experts._values import F64, I64
from shoal.plan.experts.contract import ExpertProblem, Placed
from shoal.plan.experts.local import Local
from shoal.plan.experts.lpt import Lpt
from shoal.search import Milp

TIE = 1e-3  # of the balance, that all of the affinity is worth
GROUP_GAP = 1e-4


@dataclass(frozen=True)
class Ilp:
    """Layer by layer, the busiest group gets least; of equal ones those experts lie together that tokens of one group of
    the layer before go to. Then groups of all layers are put on hosts, so that the busiest wires carry least.

    Groups are made for hosts of their speed and exchanged only among such. The result is then made better step by step
    (`polish`), as balance at any price costs bytes. [in two stages: MoETuner, arXiv 2502.06643; the forms are shoal's]
    """  # fmt: skip

    time_limit_s: float = 60.0  # of all programmes together
    most_products: int = 50_000  # unknowns that stand for products; beyond, groups are assigned layer by layer
    polish: bool = True

    def __post_init__(self) -> None:
        if not (self.time_limit_s > 0 and self.most_products >= 0):
            raise InputError("options out of range", where="ilp", needed="time_limit_s > 0, most_products ≥ 0",
                             had=repr(self))  # fmt: skip

    def place(self, problem: ExpertProblem) -> Placed:
        """See `Placer`."""
        mean, slots = problem.mean, problem.slots
        groups, late = self._groups(problem)
        notes = ["groups: stopped by the time"] if late else []
        places, gap = self._on_hosts(mean, groups, slots, notes)
        if self.polish:
            found = [improved(mean, places, slots), Local().place(problem).placement.array]
            places = min(found, key=mean.objective_s)
        return problem.placed(
            places, None, (*notes, f"groups onto hosts: gap {gap:.2%}" if gap is not None else "")
        )

    def _groups(self, problem: ExpertProblem) -> tuple[I64, bool]:
        """(L, E) the host that each expert's group is made for; whether the time was up."""
        mean, left = problem.mean, np.array(problem.slots)
        start = Lpt().place(problem).placement.array
        layers, late = len(start), False
        rows: list[I64] = []
        for layer in range(layers):
            affinity = _affinity(mean, layer, rows[-1]) if rows else np.zeros_like(mean.seconds[0, layer])
            row, gap = _balanced(
                mean.seconds[0, layer], affinity, layer_room(left, layers - layer), start[layer],
                self.time_limit_s / 2 / layers,
            )  # fmt: skip
            left -= np.bincount(row, minlength=len(left))
            late |= gap > GROUP_GAP
            rows.append(row)
        return np.stack(rows), late

    def _on_hosts(
        self, mean: Mean, groups: I64, slots: tuple[int, ...], notes: list[str]
    ) -> tuple[I64, float | None]:
        """(L, E) hosts."""
        count = len(slots)
        sizes = np.stack([np.bincount(row, minlength=count) for row in groups])
        kinds = [(host.curve, host.slots_bytes) for host in mean.fleet.hosts]
        alike = np.array([[one == other for other in kinds] for one in kinds])
        start = np.tile(np.arange(count), (len(groups), 1))
        joined = mean.joined(groups)
        asked = Question(joined, np.tile(alike, (len(groups), 1, 1)), slots, sizes, start)
        if asked.products > self.most_products:
            notes.append(f"{asked.products} products of unknowns: groups assigned layer by layer instead")
            return improved(mean, groups, slots, whole=True), None
        onto, gap = asked.solve(self.time_limit_s / 2, 0.0)
        return np.take_along_axis(onto, groups, 1), gap


def _affinity(mean: Mean, layer: int, before: I64) -> F64:
    """(E, groups): tokens that come from each group of the layer before."""
    groups = one_hot(before, mean.seconds.shape[-1])
    found: F64 = (groups.T @ mean.flow.moves[0, layer - 1]).T
    return found


def _balanced(seconds: F64, affinity: F64, room: I64, start: I64, time_limit_s: float) -> tuple[I64, float]:
    """The group of each expert of one layer, so that the busiest takes least."""
    experts, count = seconds.shape
    scale = float(max(seconds[start == group, group].sum() for group in range(count))) or 1.0
    worth = TIE / max(affinity.sum(), 1e-12)
    milp = Milp()
    x = np.array([[milp.binary(cost=-worth * affinity[e, g]) for g in range(count)] for e in range(experts)])
    most = milp.column(cost=1.0)
    for columns in x:
        milp.row([(int(each), 1.0) for each in columns], 1.0, 1.0)
    for group in range(count):
        milp.row([(int(each), 1.0) for each in x[:, group]], high=float(room[group]))
        used = zip(x[:, group].tolist(), (seconds[:, group] / scale).tolist(), strict=True)
        milp.row([*used, (most, -1.0)], high=0.0)
    begin = {int(x[e, g]): float(start[e] == g) for e in range(experts) for g in range(count)}
    found = milp.solve(time_limit_s=time_limit_s, gap=GROUP_GAP, start=begin)
    return (found.values[x].argmax(-1) if found.found else start), found.gap
