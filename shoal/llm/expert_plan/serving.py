"""A plan of experts at work: a worker process for each device, the rest of the model here, texts gone on with together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal import catalog
from shoal.errors import InputError
from shoal.llm.checkpoint import Text
from shoal.llm.expert_parallel import Tally, Ways, Workers, parallel
from shoal.llm.expert_parallel.messages import BALANCERS
from shoal.llm.expert_plan.model import checked, facts, text_of, trained
from shoal.llm.experts import blocks
from shoal.llm.experts._blocks import MATRICES
from shoal.llm.library import transformers_module
from shoal.llm.service import Generator, Room
from shoal.llm.service.generator import going_on
from shoal.llm.service.over_module import OverModule
from shoal.plan.experts import ExpertPlan

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Serving:
    """Texts, who goes on with them, and what workers did so far."""

    text: Text
    generator: Generator
    tally: Tally
    workers: list[Workers]  # at work: one, the latest that were started

    @property
    def processes(self) -> tuple[int, ...]:
        """Of the workers, at the system."""
        return tuple(number for each in self.workers for number in each.processes)


@contextmanager
def serving(plan: ExpertPlan, balancer: str = "plain", rows: int = 8, context: int = 0) -> Iterator[Serving]:
    """Workers that hold the experts as planned, ready, until the end of the block. Exact.

    Tokens of a step are shared out among the workers evenly, and go from them to where their experts are, as the plan
    counts. When a worker is lost all are started anew, and every text goes on from its tokens.

    Args:
        plan: where experts lie. Balancers go by its figures and its memory.
        balancer: of `plan/balancers`, with its options.
        rows: texts at once.
        context: places of a text; 0: as many as the model has, up to 4096.

    Raises:
        InputError: the model is no longer the one that was planned, or options that cannot be.
        ModelError: its files are damaged.
        WorkError: the workers could not start.
    """
    folder = checked(plan.model)
    text, known = text_of(folder), facts(folder)
    if (known.layers, known.experts) != plan.placement.array.shape or known.shape != plan.shape:
        raise InputError("a plan of other experts than the model has", where=str(folder), hint="plan it again")
    if not 0 <= context <= known.context:
        raise InputError(
            "no such context", where="--context", needed=f"1 to {known.context} places", had=str(context)
        )
    catalog.make(BALANCERS, balancer)  # refused before anything starts
    names = tuple(host.name for host in plan.fleet.hosts)
    ways = Ways("shards", balancer, plan.copies_per_s, plan.transfer_s, plan.room, names=names)
    tally, places, at_work = Tally(len(names)), context or known.context, list[Workers]()

    @contextmanager
    def started(_: frozenset[str]) -> Iterator[OverModule]:
        model = trained(folder)
        with parallel(model, plan.placement.array, ways, len(names), tally.note) as there:
            _let_go(model)
            at_work[:] = [there]
            yield OverModule(model, f"experts on {', '.join(names)}", Room(rows), places)

    with going_on(started, places) as generator:
        yield Serving(text, generator, tally, at_work)


def _let_go(model: PreTrainedModel) -> None:
    """Free the experts that workers hold."""
    torch = transformers_module("torch")
    for block in blocks(model):
        for name in MATRICES:
            getattr(block.experts, name).data = torch.empty(0)
