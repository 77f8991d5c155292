"""Techniques on experts put together with where experts lie: coded ones that come early from a file, pruned ones in workers."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from shoal import catalog
from shoal.llm.experts import FAMILY, blocks, together
from shoal.llm.library import transformers_module
from shoal.llm.tiny import tiny
from shoal.study.contract import Finding

if TYPE_CHECKING:
    from torch import Tensor

    from shoal.study._moe_survey_bench import Texts

CODES, KEPT, MOST_OFF = "int4", 0.5, 1e-5  # format; share of the coded bytes in memory; of the largest logit
WORKERS, SHOWN = 2, 2  # processes; stretches


def composed_system(models: tuple[str, ...], text: Texts) -> Finding:
    """Each pair runs on each model, and answers as the first of the pair does by itself."""
    held, why = [], []
    for kind in models:
        with TemporaryDirectory() as folder:
            same, told = _coded_and_early(kind, text, Path(folder, "experts"))
        off = _pruned_in_workers(kind, text)
        held += [same, off <= MOST_OFF]
        why.append(
            f"{kind}: {CODES} from a file {'equal' if same else 'not equal'}, {told}; pruned in workers {off:.1e} off"
        )
    return Finding("composed_system", all(held), "measured", len(held), why="; ".join(why))


def _coded_and_early(kind: str, text: Texts, file: Path) -> tuple[bool, str]:
    """Whether coded experts that are fetched early answer as the same codes in memory, to the last bit."""
    from shoal.llm.offload.experts import Budget, offload
    from shoal.llm.offload.records import write_experts
    from shoal.llm.routes import recorded
    from shoal.store import Key

    model = tiny(kind).module()
    routes = recorded(model, text.learned.x[:SHOWN])
    keys = [Key(place, number) for place, block in enumerate(blocks(model)) for number in range(block.count)]
    index = write_experts(model, file, dict.fromkeys(keys, CODES))
    budget = int(KEPT * sum(each.bytes for each in index.records))
    taken = offload(model, file, Budget(budget, policy="distance", predictor="path_table"), routes)
    try:
        found, told = _logits(model, text), taken.store.told()
    finally:
        taken.undo()
    model.set_experts_implementation("eager")
    return bool(
        (found == _logits(model, text)).all()
    ), f"{told.hit_rate + told.late_rate:.0%} there or on their way"


def _pruned_in_workers(kind: str, text: Texts) -> float:
    """Largest change of a logit, of the largest, when pruned experts are computed by worker processes."""
    from shoal.llm.expert_parallel import even, parallel

    model = tiny(kind).module()
    together(model, {"prune": catalog.make(FAMILY, "prune")}, text.learned.x)
    wanted, there = _logits(model, text), blocks(model)
    with parallel(model, even(len(there), there[0].count, WORKERS)):
        found = _logits(model, text)
    return float((found - wanted).abs().max() / wanted.abs().max())


def _logits(model: Any, text: Texts) -> Tensor:
    torch = transformers_module("torch")
    with torch.no_grad():
        found: Tensor = model(torch.from_numpy(text.held.x[:SHOWN]), use_cache=False).logits
    return found
