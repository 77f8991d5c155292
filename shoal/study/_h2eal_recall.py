"""Recall of facts in text by the heads that H2EAL keeps, and by what it is held against."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import mean
from typing import Any

import numpy as np

from shoal.kv.policies.contract import Policy
from shoal.kv.policies.full import Full
from shoal.kv.policies.hybrid import Hybrid
from shoal.kv.policies.pages import Pages
from shoal.kv.policies.quantised import Quantised
from shoal.kv.policies.streaming import Streaming
from shoal.kv.recording import Recording
from shoal.kv.selections import Selections
from shoal.llm.attention import GateRecipe, Gates, attending, learned_gates, mass_gates
from shoal.llm.attention.recall import Asked, Recall, recall_model
from shoal.llm.library import transformers_module
from shoal.study._bench import Bench
from shoal.study.contract import Chart, Finding, Series, Shown, Table
from shoal.train.language import corpus

SINK, RECENT = 4, 28  # tokens, of texts of 512
RATIO = 0.5  # of the heads, that keep pages


@dataclass(frozen=True)
class Recalled:
    """What a policy remembers and reads."""

    share: float  # of the questions that are answered rightly, per cent
    read: float  # bytes of a token of one text


@dataclass(frozen=True, eq=False)
class Memory:
    """A model that remembers facts, texts that it has not seen, and gates of its heads."""

    bench: Bench
    texts: int  # that are asked
    page: int
    share: float  # of the context that pages may be read of
    gate_texts: int
    gate_steps: int
    task: Recall = field(default_factory=Recall)

    @cached_property
    def model(self) -> Any:
        """With transformers' own attention."""
        return recall_model().module("sdpa")

    @cached_property
    def asked(self) -> Asked:
        """Of text that was held out."""
        return self.task.texts(corpus()[1], self.texts, self.bench.seed + 1000)

    @cached_property
    def learned(self) -> Gates:
        """Gates by training."""
        texts, recipe = self._lesson(), GateRecipe(SINK, RECENT, self.gate_steps, seed=self.bench.seed)
        return learned_gates(self.model, texts.tokens, texts.asked, recipe)

    @cached_property
    def cheap(self) -> Gates:
        """Gates by where attention goes."""
        return mass_gates(self.model, self._lesson().tokens, SINK, RECENT)

    @property
    def budget(self) -> int:
        """Tokens of pages."""
        return max(2, round(self.share * self.task.prompt / self.page)) * self.page

    def hybrid(self, gates: Gates, ratio: float = RATIO, page: int = 0, reuse: int = 1) -> Hybrid:
        """So many heads with pages; the model's two layers are too few for dense ones."""
        return Hybrid(gates.streaming(ratio), page or self.page, self.budget, SINK, RECENT, reuse, dense=0)

    def recall(self, policy: Policy) -> Recalled:
        """Prompts come at once and are seen whole; questions and answers follow one by one, as they should be."""
        torch = transformers_module("torch")
        tokens, prompt, right = torch.from_numpy(self.asked.tokens), self.task.prompt, []
        with torch.no_grad(), attending(self.model, policy) as cache:
            self.model(tokens[:, :prompt], past_key_values=cache, logits_to_keep=1)
            cache.traffic()
            for at in range(prompt, tokens.shape[1] - 1):
                said = self.model(tokens[:, at : at + 1], past_key_values=cache).logits[:, -1].argmax(dim=-1)
                if self.asked.asked[0, at]:
                    right.append(said == tokens[:, at + 1])
        steps = tokens.shape[1] - 1 - prompt
        return Recalled(100 * float(torch.stack(right).float().mean()), cache.traffic().read / steps / len(tokens))

    def recorded(self, context: int, steps: int, page: int = 16) -> Selections:
        """The pages that one text's tokens read at a context, a quarter of it at most; heads classed by learned gates.

        Contexts beyond the places that the model has learned tell where its heads look there, not that it remembers.
        """
        torch = transformers_module("torch")
        task = Recall(context + steps, asks=(steps + 1) // 2)
        tokens = torch.from_numpy(task.texts(corpus()[1], 1, self.bench.seed + 2000).tokens)
        budget = max(6, context // 4 // page) * page
        policy = Hybrid(self.learned.streaming(RATIO), page, budget, 64, 256, dense=0)
        with torch.no_grad(), attending(self.model, policy) as cache:
            self.model(tokens[:, :context], past_key_values=cache, logits_to_keep=1)
            recording = Recording(cache.stores)
            for at in range(context, context + steps):
                self.model(tokens[:, at : at + 1], past_key_values=cache)
        return recording.selections()

    def _lesson(self) -> Asked:
        return self.task.texts(corpus()[0], self.gate_texts, self.bench.seed + 3000)


def gates_shown(memory: Memory) -> Iterator[Shown]:
    """Gates of all heads, and how far apart those are that are kept and those that are not."""
    memory.bench.say("learning gates")
    kept = np.sort(memory.learned.values, axis=None)[::-1]
    half = len(kept) // 2
    yield Finding("separated", float(kept[:half].mean() - kept[half:].mean()), "measured", memory.gate_steps)
    yield _gates_table(memory.learned, memory.cheap)


def recall_shown(memory: Memory, draws: int) -> Iterator[Shown]:
    """Recall by learned, cheap and random classes, and by streaming alone."""
    memory.bench.say("recall")
    found = Compared.of(memory, draws)
    full, own, ends, quick = found.full, found.learned, found.streaming, found.cheap
    asked, alike = memory.texts * memory.task.asks, 100 * memory.learned.agreement(memory.cheap, RATIO)
    yield Finding("recall", full.share, "measured", asked,
                  why=f"{memory.task.facts} facts in {memory.task.places} bytes")  # fmt: skip
    yield Finding("recall_drop", full.share - own.share, "measured", asked,
                  why=f"{own.share:.1f} of {full.share:.1f} %; {own.read / full.read:.2f} of the bytes")  # fmt: skip
    yield Finding("streaming_below", own.share - ends.share, "measured", asked,
                  why=f"{ends.read / own.read:.2f} of the bytes")  # fmt: skip
    below = [own.share - each.share for each in found.random]
    yield Finding("random_below", mean(below), "measured", draws, (min(below), max(below)), "interval: all draws")
    yield Finding("cheap", full.share - quick.share, "measured", asked,
                  why=f"{alike:.0f} % of the heads in the same class as by learned gates")  # fmt: skip
    yield Table("Recall and bytes of the cache that a token reads", ("", "recall, %", "bytes", "of full, %"), [
        (name, each.share, each.read, 100 * each.read / full.read) for name, each in found.rows(memory)
    ], f"pages of {memory.page}, {memory.budget} tokens of them; sink {SINK}, recent {RECENT}")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Compared:
    """What is remembered by each way."""

    full: Recalled
    learned: Recalled
    cheap: Recalled
    random: Sequence[Recalled]
    streaming: Recalled  # of the bytes of `learned`

    @classmethod
    def of(cls, memory: Memory, draws: int) -> Compared:
        """All of them."""
        full, learned = memory.recall(Full()), memory.recall(memory.hybrid(memory.learned))
        source, shape = np.random.default_rng(memory.bench.seed), memory.learned.values.shape
        chance = [Gates(source.random(shape, np.float32)) for _ in range(draws)]
        return cls(full, learned, memory.recall(memory.hybrid(memory.cheap)),
                   [memory.recall(memory.hybrid(each)) for each in chance],
                   memory.recall(_streaming_of(learned.read, full.read, memory)))  # fmt: skip

    def rows(self, memory: Memory) -> Iterator[tuple[str, Recalled]]:
        """All of them by name, and some that no claim is about."""
        yield "full", self.full
        yield "pages alone", memory.recall(Pages(memory.page, memory.budget, SINK, dense=0))
        yield "half streaming, learned", self.learned
        yield "half streaming, cheap", self.cheap
        share = mean(each.share for each in self.random)
        yield "half streaming, random", Recalled(share, self.random[0].read)
        yield "streaming alone", self.streaming
        yield "int8", memory.recall(Quantised(8))
        yield "int4", memory.recall(Quantised(4))


def ratios_shown(memory: Memory, ratios: Sequence[float]) -> Chart:
    """Recall over the share of heads that keep pages."""
    return Chart("Recall over the share of heads with pages", "share", "recall, %", tuple(
        Series(name, list(ratios), [memory.recall(memory.hybrid(gates, ratio)).share for ratio in ratios])
        for name, gates in (("learned gates", memory.learned), ("cheap score", memory.cheap))
    ), kind="points")  # fmt: skip


def swept(memory: Memory, pages: Sequence[int], reuses: Sequence[int]) -> Table:
    """Other sizes of pages, and choices that are used again."""
    rows = [
        (page, reuse, found.share, found.read)
        for page in memory.bench.each(pages, "page")
        for reuse in reuses
        for found in [memory.recall(memory.hybrid(memory.learned, page=page, reuse=reuse))]
    ]
    return Table("Sizes of pages, and steps for which a choice is good", ("page", "steps", "recall, %", "bytes"), rows,
                 f"{memory.budget} tokens of pages, half of the heads streaming")  # fmt: skip


def _streaming_of(read: float, full: float, memory: Memory) -> Streaming:
    """Streaming alone that reads at least so many bytes."""
    middle = memory.task.places - memory.task.asks  # tokens that the full cache reads, on average
    return Streaming(SINK, max(1, math.ceil(read / full * middle) - SINK))


def _gates_table(learned: Gates, cheap: Gates) -> Table:
    rows: list[tuple[str | float, ...]] = [
        (f"{name}, layer {layer}", *map(float, row))
        for name, gates in (("learned", learned), ("mass", cheap))
        for layer, row in enumerate(gates.values)
    ]
    heads = tuple(str(head) for head in range(learned.values.shape[1]))
    return Table("Gates of the KV heads", ("", *heads), rows,
                 "mass: share of attention that goes neither to the first nor to the last tokens")  # fmt: skip
