"""The real stream of the DyPe study: its data turn from sparse to dense while the pipeline runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from shoal.cost import Fits
    from shoal.plan import Chain, PoolProblem, PoolSchedule
    from shoal.program import Program
    from shoal.record.observed import Answer

FORMS: tuple[Literal["sparse", "dense"], ...] = ("sparse", "dense")  # of the engine `kernels`, one worker each
CORES = {"sparse/cpu": (0,), "dense/cpu": (1,)}
WINDOW = 4
NODES, SPARSE, DENSE = 768, 768 * 3, 768 * 384  # three non-zeros a row, then every second place


@dataclass(frozen=True)
class Line:
    """The real stream: its two schedules, best for either half, as two epochs."""

    fits: Fits
    items: int
    seed: int

    @cached_property
    def chain(self) -> Chain:
        from shoal.plan import gcn_chain

        return gcn_chain((64, 64, 64), NODES, DENSE)

    @cached_property
    def halves(self) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """What an item brings, before and after the data turn."""
        return {"nodes": NODES, "nnz": SPARSE}, {"nodes": NODES, "nnz": DENSE}

    @cached_property
    def problems(self) -> tuple[PoolProblem, ...]:
        """The chain in either half, over a worker of each form."""
        from shoal.plan import DeviceType, PoolProblem, Pools

        pools = Pools(tuple(DeviceType(form, 1, static_w=1.0, dynamic_w=10.0) for form in FORMS))
        return tuple(PoolProblem(self.chain, bindings, pools, self.fits) for bindings in self.halves)

    @cached_property
    def schedules(self) -> tuple[PoolSchedule, ...]:
        """The quickest for the sparse half, and for the dense half."""
        from shoal.plan import solve_pools

        return tuple(solve_pools(problem).schedule for problem in self.problems)

    @cached_property
    def data(self) -> tuple[Mapping[str, Any], ...]:
        """An item's inputs, of either half."""
        from shoal.plan import pool_inputs

        return tuple(pool_inputs(self.chain, bindings, self.seed) for bindings in self.halves)

    def switched(self) -> tuple[tuple[Answer, ...], bool]:
        """Answers of a stream whose second half is dense, in order; and whether all are right."""
        import numpy as np

        from shoal.plan import assess, drawn_weights, undivided
        from shoal.program import Item, Workload
        from shoal.program.drivers.replan import Replan, Schedules, bucket_of
        from shoal.run import running, standby

        turn = self.items // 2
        table = Schedules(("nnz",), {
            (bucket_of(problem.bindings["nnz"]),): {
                epoch: assess(problem, schedule).period_s for epoch, schedule in enumerate(self.schedules)
            }
            for problem in self.problems
        })  # fmt: skip
        pattern = tuple(Item(bindings=self.halves[number >= turn]) for number in range(self.items))
        weights = drawn_weights(self.chain, self.seed)
        expected = [undivided(self.chain, weights, each) for each in self.data]
        right: list[bool] = []

        def check(item: int, outputs: Mapping[str, Any]) -> None:
            wanted = expected[item >= turn]
            right.append(bool(np.abs(outputs["y"] - wanted).max() <= 1e-4 * np.abs(wanted).max()))

        (first, folder), (second, other) = (self._program(each, n) for n, each in enumerate(self.schedules))
        with running(first, folder, cores=CORES, others={1: standby(second, other, cores=CORES)}) as (
            coordinator,
            _,
        ):
            workload = Workload(self.items, window=WINDOW, pattern=pattern)
            outcome = coordinator.run(Replan(table), workload, lambda item: self.data[item >= turn], check)
        return outcome.observed.answers, all(right) and len(right) == self.items and not outcome.failure

    def alone_s(self, schedule: PoolSchedule) -> float:
        """Measured period of a schedule on dense data."""
        from shoal import catalog
        from shoal.cost import period_s
        from shoal.program import Item, Workload
        from shoal.run import running

        program, folder = self._program(schedule, 0)
        with running(program, folder, cores=CORES) as (coordinator, _):
            workload = Workload(max(24, self.items // 4), window=WINDOW, pattern=(Item(bindings=self.halves[1]),))
            stream = catalog.make("program/drivers", "stream")
            return period_s(
                coordinator.run(stream, workload, lambda _: self.data[1], lambda *_: None).observed.answers, WINDOW
            )

    def _program(self, schedule: PoolSchedule, epoch: int) -> tuple[Program, Path]:
        from shoal.plan import drawn_weights, pool_program

        units = {str(form): [f"{form}/cpu"] for form in FORMS}
        weights = drawn_weights(self.chain, self.seed)
        return pool_program(
            self.chain, schedule, units, {str(form): form for form in FORMS}, weights, window=WINDOW, epoch=epoch
        )
