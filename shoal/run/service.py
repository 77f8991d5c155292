"""A plan held open: its workers stay ready, and the network is called like a function."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from shoal import catalog
from shoal.errors import WorkerDied
from shoal.plan.lower import lower
from shoal.plan.values import Plan
from shoal.plan.written import with_files
from shoal.program import Program, Workload
from shoal.run.coordinator import Coordinator
from shoal.run.execute import Settings, connected, model_of, pace_of
from shoal.run.inputs import check_inputs
from shoal.run.samples import Arrays


class Service:
    """The workers of one plan, ready. `opened` makes it; not for several threads at once."""

    def __init__(self, program: Program, coordinator: Coordinator) -> None:
        self._program, self._coordinator = program, coordinator

    @property
    def program(self) -> Program:
        """What the workers execute."""
        return self._program

    def __call__(self, inputs: Arrays) -> Arrays:
        """The network's outputs by name, for one item's inputs by name; raises like `many`."""
        return self.many((inputs,))[0]

    def many(self, items: Sequence[Arrays]) -> tuple[Arrays, ...]:
        """The outputs of each item in turn; the program's window of items is in flight at once.

        Raises:
            InputError: an array is missing or has the wrong type or shape; the service can go on being used.
            WorkerDied: a worker was lost; the service is of no more use.
        """
        for item in items:
            check_inputs(self._program, item)
        if not items:
            return ()
        answers: dict[int, Arrays] = {}
        driver = catalog.make("program/drivers", "stream")
        workload = Workload(len(items), window=self._program.window)
        outcome = self._coordinator.run(driver, workload, items.__getitem__, answers.__setitem__)
        if outcome.failure:
            raise WorkerDied(outcome.failure)
        return tuple(answers[number] for number in range(len(items)))


@contextmanager
def opened(plan: Plan, settings: Settings | None = None) -> Iterator[Service]:
    """Start the workers of `plan` and keep them until the block ends.

        with opened(plan) as call:
            outputs = call({"image": image})

    Of the settings, `over`, `emulate` and `patience_s` count.

    Raises:
        PlanError: the model changed, or no longer fits the plan.
        WorkError: a worker could not start.
    """
    chosen = settings or Settings()
    graph = model_of(plan)
    program, folder = with_files(graph, lower(graph, plan))
    tempo = pace_of(plan, program) if chosen.emulate else None
    with connected(plan, program, folder, chosen, tempo) as coordinator:
        yield Service(program, coordinator)
        coordinator.stop()
