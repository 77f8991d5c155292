"""Techniques on experts of small trained models: what each takes and loses, and one held against another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal import catalog
from shoal.errors import InputError
from shoal.llm.experts import FAMILY, Figures, Technique, blocks, judged, load_of, mutual_bits, seen, together
from shoal.llm.library import transformers_module
from shoal.llm.tiny import tiny
from shoal.study.contract import Finding, Table

if TYPE_CHECKING:
    from torch import Tensor

    from shoal.train.language import Stretches

PLACES = 128
WHOLE = "as it is"
TRIED = (
    "align", "reorder", "quantise:format=int8g32", "quantise:format=int4g32", "quantise:format=int2g32", "mixed_bits",
    "quantise:format=tern2", "low_rank:energy=0.9", "low_rank:energy=0.7", "prune:by=mass", "prune:by=loss",
    "trim", "distil", "merge", "merge:align=false", "dense", "skip_second", "dynamic_k:enough=0.5", "dynamic_k:enough=0.3",
)  # fmt: skip
FORBIDDEN = (("prune", "merge"), ("skip_second", "dynamic_k"), ("quantise", "low_rank"))


@dataclass(frozen=True)
class Texts:
    """To learn from, and held out."""

    learned: Stretches
    held: Stretches


@dataclass(frozen=True)
class Row:
    """A technique on one model."""

    name: str
    exact: bool
    figures: Figures
    changed: float  # largest difference of a logit, of the largest logit
    undone: bool


def texts(calibration: int, held: int) -> Texts:
    """So many stretches of each, spread over the whole text."""
    from shoal.train.language import Stretches, corpus, stretches

    def some(text: Any, count: int) -> Stretches:
        every = stretches(text, PLACES)
        chosen = np.linspace(0, len(every.x) - 1, count).astype(int)
        return Stretches(every.x[chosen], every.y[chosen])

    learned, out = corpus()
    return Texts(some(learned, calibration), some(out, held))


def rows(kind: str, text: Texts, say: Callable[[str], None]) -> list[Row]:
    """Every technique on one model, the model as it is first."""
    model = tiny(kind).module()
    plain, before = _logits(model, text.held), {name: each.clone() for name, each in model.state_dict().items()}
    found = [Row(WHOLE, True, judged(model, text.held), 0.0, True)]
    for name in TRIED:
        technique: Technique = catalog.make(FAMILY, name)
        handle = technique.apply(model, text.learned.x)
        figures, logits = judged(model, text.held), _logits(model, text.held)
        handle.undo()
        same = all(bool((each == before[key]).all()) for key, each in model.state_dict().items())
        undone = same and bool((_logits(model, text.held) == plain).all())
        changed = float((logits - plain).abs().max() / plain.abs().max())
        say(f"{kind}, {name}: {figures.loss_nats:.4f} nats")
        found.append(Row(name, technique.exact, figures, changed, undone))
    return found


@dataclass(frozen=True)
class Compared:
    """One way against another, of the same bytes."""

    models: tuple[str, ...]
    text: Texts
    seeds: int

    def skipping(self) -> Finding:
        """Experts skipped on text held out against those predicted on the calibration."""
        off = []
        for model in self._each():
            whole = judged(model, self.text.held).products
            with self._with(model, "skip_second"):
                told, found = (judged(model, each).products for each in (self.text.learned, self.text.held))
            off.append(100 * abs(found - told) / whole)
        return Finding("skipping", max(off), "measured", len(off), (min(off), max(off)), "interval: all models")

    def pruning(self) -> Finding:
        """Random pruning over pruning by mass."""
        drawn = [f"prune:by=random,seed={seed}" for seed in range(self.seeds)]
        ratios = []
        for model in self._each():
            mass, *others = self._added(model, "prune:by=mass", *drawn)
            ratios.append(float(np.mean(others)) / mass)
        return Finding(
            "pruning", min(ratios), "measured", self.seeds, (min(ratios), max(ratios)), "interval: all models"
        )

    def merging(self) -> Finding:
        """Merging without alignment over merging with it."""
        ratios = []
        for model in self._each():
            plain, with_ = self._added(model, "merge:align=false", "merge")
            ratios.append(plain / with_)
        return Finding(
            "merging", min(ratios), "measured", len(ratios), (min(ratios), max(ratios)), "interval: all models"
        )

    def composed(self) -> Finding:
        """Three techniques together, by their bytes."""
        names, fits, told = ("prune", "quantise", "skip_second"), [], []
        for model in self._each():
            whole = judged(model, self.text.held)
            shares = []
            for name in names:
                with self._with(model, name):
                    shares.append(judged(model, self.text.held).resident_bytes / whole.resident_bytes)
            with self._with(model, *names):
                found = judged(model, self.text.held)
            fits.append(abs(found.resident_bytes / whole.resident_bytes - np.prod(shares)) < 1e-3)
            told.append(f"{found.loss_nats:.3f} nats for {whole.loss_nats:.3f}")
        return Finding("composed", all(map(bool, fits)), "measured", len(fits), why=", ".join(told))

    def refused(self) -> Finding:
        """Pairs that settle the same."""
        reasons = []
        for model in self._each():
            for pair in FORBIDDEN:
                before = {name: each.clone() for name, each in model.state_dict().items()}
                try:
                    with self._with(model, *pair):
                        pass
                except InputError as fault:
                    if all(bool((each == before[name]).all()) for name, each in model.state_dict().items()):
                        reasons.append(fault.message)
        wanted = len(FORBIDDEN) * len(self.models)
        return Finding("refused", len(reasons) == wanted, "measured", wanted, why=reasons[0] if reasons else "")

    def _each(self) -> Iterator[Any]:
        return (tiny(kind).module() for kind in self.models)

    def _added(self, model: Any, *names: str) -> list[float]:
        """Nats that each technique costs by itself."""
        before, found = judged(model, self.text.held).loss_nats, []
        for name in names:
            with self._with(model, name):
                found.append(judged(model, self.text.held).loss_nats - before)
        return found

    @contextmanager
    def _with(self, model: Any, *names: str) -> Iterator[None]:
        handle = together(model, {name: catalog.make(FAMILY, name) for name in names}, self.text.learned.x)
        try:
            yield
        finally:
            handle.undo()


def loads(models: tuple[str, ...], text: Texts) -> Table:
    """Router statistics of every layer."""
    cells = []
    for kind in models:
        model = tiny(kind).module()
        met = seen(model, text.held.x)
        firsts = [each.weights.argmax(-1, keepdim=True).numpy() for each in met]
        heads = [
            np.take_along_axis(each.chosen.numpy(), first, 1)[:, 0] for each, first in zip(met, firsts, strict=True)
        ]
        for at, (each, block) in enumerate(zip(met, blocks(model), strict=True)):
            load = load_of(each.chosen.numpy(), block.count)
            next_bits = mutual_bits(heads[at], heads[at + 1], block.count) if at + 1 < len(heads) else None
            cells.append((kind, block.layer, load.imbalance, load.entropy_bits, load.gini, next_bits))
    columns = ("model", "layer", "busiest / mean", "entropy, bits", "Gini", "tells of the next, bits")
    return Table(
        "Load of routers", columns, cells, "on text held out; the last: mutual information of first choices"
    )


def _logits(model: Any, text: Stretches) -> Tensor:
    torch = transformers_module("torch")
    with torch.no_grad():
        found: Tensor = model(torch.from_numpy(text.x), use_cache=False).logits
    return found
