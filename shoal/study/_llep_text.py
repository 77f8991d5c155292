"""A trained model's experts on workers, on its own text: the same answers; how uneven narrow text is, and what that gains."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from statistics import median

import numpy as np
from numpy.typing import NDArray

from shoal.llm.expert_parallel import even, parallel
from shoal.llm.experts import blocks, seen
from shoal.llm.library import transformers_module
from shoal.llm.tiny import tiny
from shoal.study import Finding, Note, Shown, Table
from shoal.study._llep_forced import MODES, both
from shoal.train.language import corpus

LENGTH = 128
KINDS = ("mixtral", "experts16")


def same(kinds: tuple[str, ...], least: int) -> Iterator[Shown]:
    """Whole models: logits against those of one process."""
    torch = transformers_module("torch")
    symbols = torch.from_numpy(_rows(corpus()[1].tobytes(), 2))
    rows: list[tuple[str, float]] = []
    for kind in kinds:
        model = tiny(kind).module()
        native = even(4, blocks(model)[0].count, 3 if kind == "mixtral" else 2)
        with torch.no_grad():
            alone = model(symbols, use_cache=False).logits
            with parallel(model, native) as there:
                for mode, name in product(MODES, ("plain", f"least_loaded:gate=1,least={least}")):
                    there.share(mode, name)
                    found = model(symbols, use_cache=False).logits
                    off = float((found - alone).abs().max() / alone.abs().max())
                    rows.append((f"{kind}, {mode}, {name}", off))
    yield Finding("model", max(off for _, off in rows), "measured", len(rows), why="largest difference of logits over the largest logit")  # fmt: skip
    yield Table("Whole models on workers", ("model", "off"), rows)


def narrow(kind: str, word: str, stretches: int, least: int, rounds: int) -> Iterator[Shown]:
    """Paragraphs about one thing against the whole text: load of the busier worker, and steps of real layers."""
    model = tiny(kind).module()
    text = corpus()[0].tobytes()
    about = b"\n\n".join(each for each in text.split(b"\n\n") if word.encode() in each.lower())
    found, rows = blocks(model), []
    native = even(len(found), found[0].count, 2)
    met = {name: seen(model, _rows(part, stretches)) for name, part in (("all", text), (word, about))}
    with parallel(model, native) as there:
        for name, layers in met.items():
            for layer, known in enumerate(layers):
                given = known.inputs.numpy(), known.chosen.numpy(), known.weights.numpy()
                took = (median(step.seconds for step in each) for each in both(there, layer, given, least, rounds))
                loads = np.bincount(given[1].ravel(), minlength=found[0].count)
                halves = np.bincount(native[0], loads)
                rows.append((name, layer, 100 * loads.max() / loads.sum(), 100 * halves.max() / loads.sum(), *took))
    gains = [plain_s / spilt_s for name, *_, plain_s, spilt_s in rows if name == word]
    yield Finding("uneven", max(row[3] for row in rows if row[0] == word), "measured", len(gains), why="layer where it is most; 50 were even")  # fmt: skip
    yield Finding("text_gain", median(gains), "measured", rounds * len(gains), (min(gains), max(gains)), "median and interval of the layers")  # fmt: skip
    yield Table(
        f"{kind}, real text on two workers",
        ("text", "layer", "busiest expert, %", "busier worker, %", "standard, ms", "least loaded, ms", "gain, ×"),
        [(*row[:4], 1e3 * row[4], 1e3 * row[5], row[4] / row[5]) for row in rows],
    )
    yield Note("Routing of a small model trained on one kind of text is nearly even; gains of forced routing are not those of text.")  # fmt: skip


def _rows(text: bytes, count: int) -> NDArray[np.int64]:
    symbols = np.frombuffer(text, np.uint8)[: count * LENGTH]
    return symbols[: len(symbols) // LENGTH * LENGTH].reshape(-1, LENGTH).astype(np.int64)
