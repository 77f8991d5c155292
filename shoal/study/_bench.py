"""What studies need in common: a scratch folder, progress, models, fleets, plans and runs."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any, TypeVar

from shoal import cache
from shoal.catalog import nearest
from shoal.errors import InputError, OutputsDiffer, WorkerDied

if TYPE_CHECKING:
    from shoal.fleet import Fleet
    from shoal.graph import Graph
    from shoal.plan import Front, ModelRef, Plan
    from shoal.record import Run

Each = TypeVar("Each")

RECIPE = 1  # raise it when seeded weights change: models kept under another recipe are not used


@dataclass(frozen=True)
class Model:
    """A network with weights in a file, and how plans refer to it."""

    graph: Graph
    ref: ModelRef


@dataclass(frozen=True)
class Bench:
    """Handed to a study's `run`. All it makes goes when the study ends, except models, which are cached."""

    scratch: Path  # an empty folder
    seed: int  # the study's option of that name, else 0
    say: Callable[[str], None]  # one line of progress, on stderr

    def each(self, things: Sequence[Each], what: str = "") -> Iterator[Each]:
        """`things` one after another, each announced: "model 2/9: resnet50"."""
        for index, thing in enumerate(things):
            self.say(f"{what} {index + 1}/{len(things)}: {thing}".lstrip())
            yield thing

    def light(self, name: str) -> Path:
        """The file of a light model that the onnx package ships ("resnet50"): its weights are constants.

        Raises:
            InputError: no such model, or the installed package lacks them.
        """
        folder = _light_folder()
        known = sorted(path.stem.removeprefix("light_") for path in folder.glob("light_*.onnx"))
        if not known:
            raise InputError("the installed onnx package lacks its light models", hint="pip install --upgrade onnx")
        if name not in known:
            raise InputError(f"no light model is called '{name}'", hint=nearest(name, known))
        return folder / f"light_{name}.onnx"

    def model(self, name: str) -> Model:
        """A light model whose weights are random but sensible, by the bench's seed; built once and cached.

        Raises:
            InputError: no such model, or the cache cannot be written.
        """
        from shoal import graph

        shipped = self.light(name)

        def build(folder: Path) -> None:
            self.say(f"making {name} with weights of seed {self.seed}")
            graph.save(graph.seeded(graph.load(shipped), self.seed), folder / f"{name}.onnx")

        return self.load(cache.entry("models", f"study-{name}-{self.seed}-{RECIPE}", build) / f"{name}.onnx")

    def load(self, path: Path) -> Model:
        """The network in an ONNX file.

        Raises:
            ModelError: it cannot be read or bound.
        """
        from shoal import graph
        from shoal.plan import ModelRef

        loaded = graph.load(path)
        return Model(loaded, ModelRef(path.stem, str(path.resolve()), loaded.sha256))

    def fleet(self, text: str) -> Fleet:
        """The fleet described by TOML `text`, indented as you like.

        Raises:
            FleetError, UnitError: what is wrong with it.
        """
        from shoal import fleet

        return fleet.loads(dedent(text), "the study's fleet")

    def front(
        self, model: Model, fleet: Fleet, *goals: str, profile: bool = True, items: int = 32, **wishes: Any
    ) -> Front:
        """The plans worth having of `model` on `fleet`; `front.plan` is the one chosen.

        Args:
            model: of this bench.
            fleet: where to.
            goals: what to make best, the first counting most; throughput if none.
            profile: measure the model's ops on this machine first, if that was not done before. Without, the
                boards' own figures count and nothing depends on this machine.
            items: to plan for.
            wishes: further fields of `shoal.plan.Wishes`: planner, strategy, shares, pins, exclude, engines, workload.

        Raises:
            PlanError: wishes that contradict model or fleet.
            LimitError: no plan fits.
        """
        from shoal.plan import Objective, Wishes, search
        from shoal.plan.costs import costs_of

        wished = Wishes(objective=Objective(goals or ("throughput",)), items=items, **wishes)
        costs = costs_of(model.graph, fleet, measure=profile)
        return search(model.graph, model.ref, fleet, costs, wished)

    def run(self, plan: Plan, items: int = 32, *, must_match: bool = True, **settings: Any) -> Run:
        """Really run `plan` on workers of this machine: measured, or emulated with `emulate=True`.

        Args:
            plan: what to run.
            items: how many.
            must_match: whether other outputs than the undivided network's are a failure of the study; without,
                `run.outputs_match` tells.
            settings: further fields of `shoal.run.Settings`: emulate, over, patience_s, samples.

        Raises:
            WorkerDied: the run ended early.
            OutputsDiffer: the outputs are wrong.
            PaceError: this machine cannot keep up with the boards it was to emulate.
        """
        from shoal.run import Settings, execute

        compare = bool(settings.pop("compare", True))
        result = execute(plan, Settings(items=items, compare=compare, seed=self.seed, **settings))
        if result.failure:
            raise WorkerDied(result.failure, where=plan.model.name)
        if must_match and result.run.outputs_match is False:
            raise OutputsDiffer(
                "the divided network does not answer like the undivided one",
                where=plan.model.name,
                needed=f"at most 1e-4 of {result.run.reference_magnitude:g}",
                had=f"{result.run.max_abs_difference:g}",
            )
        return result.run

    @contextmanager
    def spare_cache(self) -> Iterator[None]:
        """A cache of its own until the block ends: for many plans of large networks that nobody needs again."""
        before = os.environ.get("SHOAL_CACHE")
        with cache.workspace("spare") as folder:
            os.environ["SHOAL_CACHE"] = str(folder)
            try:
                yield
            finally:
                os.environ.pop("SHOAL_CACHE")
                if before is not None:
                    os.environ["SHOAL_CACHE"] = before

    def simulate(self, plan: Plan, items: int = 32) -> Run:
        """`plan` in simulated time, on machines that need not be here.

        Raises:
            PlanError: the model changed since it was planned.
        """
        from shoal.run.simulated import simulated

        return simulated(plan, items)


@contextmanager
def opened(seed: int, say: Callable[[str], None]) -> Iterator[Bench]:
    """A bench; its scratch folder is gone afterwards. `say` is told the seconds since it was opened, too."""
    begun = time.monotonic()

    def timed(text: str) -> None:
        say(f"{time.monotonic() - begun:7.1f} s  {text}")

    with tempfile.TemporaryDirectory(prefix="shoal-study-") as folder:
        yield Bench(Path(folder), seed, timed)


def _light_folder() -> Path:
    """Found without importing onnx, which takes a while."""
    from importlib.util import find_spec

    spec = find_spec("onnx")
    origin = spec.origin if spec else None
    return Path(origin or "").parent / "backend" / "test" / "data" / "light"
