"""Latency and energy of one model on this machine: measured, fitted, and held against what was not fitted to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, Any

from shoal import catalog
from shoal.llm import architecture
from shoal.llm.library import transformers_module
from shoal.llm.modules import module
from shoal.llm.reasoning import (
    Clock,
    Energy,
    Latency,
    Metered,
    Power,
    Token,
    fit_decode,
    fit_power,
    fit_prefill,
    mape,
    read_bytes,
    staircase,
)
from shoal.measure.clocked import clocked, own_clock
from shoal.study import Finding, Note, Shown, Table
from shoal.train.library import torch_threads

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SUBJECTS: dict[str, dict[str, Any]] = {  # speed does not depend on the weights, which are drawn
    "gemma3": {
        "model_type": "gemma3_text", "vocab_size": 262144, "hidden_size": 640, "intermediate_size": 2048,
        "num_hidden_layers": 18, "num_attention_heads": 4, "num_key_value_heads": 1, "head_dim": 256,
        "sliding_window": 512, "max_position_embeddings": 32768,
    },
    "small": {
        "model_type": "llama", "vocab_size": 256, "hidden_size": 64, "intermediate_size": 192,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
    },
}  # fmt: skip
VALUE_BYTES = 4.0  # float32
VECTOR_BYTES = 1 << 28
HELD_EVERY = 3  # one length of so many is not fitted to
EDGES = (127, 128, 129, 255, 256, 257)  # around the borders of tiles, as far as prompts go
FIT_TOKENS, BATCH_TOKENS = 10, 6  # timed after each prompt that is fitted to


@dataclass(frozen=True)
class Timed:
    """The measurements, made once."""

    subject: str
    longest: int  # tokens of a prompt
    outputs: tuple[int, ...]  # tokens written, held out
    texts: tuple[int, ...]  # at once
    rounds: int

    @cached_property
    def model(self) -> PreTrainedModel:
        """With weights that are drawn."""
        return module(SUBJECTS[self.subject], attention="sdpa")

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Of prompts: from 16 on, a half more each, and around the borders of tiles."""
        found, at = {each for each in EDGES if each <= self.longest}, 16.0
        while at < self.longest:
            found.add(round(at))
            at *= 1.5
        return tuple(sorted(found | {self.longest}))

    @cached_property
    def prefills(self) -> dict[int, float]:
        """Seconds by length."""
        return {each.tokens: each.seconds for each in Clock(self.model, self.rounds).prefills(self.lengths)}

    @cached_property
    def held_lengths(self) -> tuple[int, ...]:
        """Not fitted to; the ends are."""
        return self.lengths[1:-1:HELD_EVERY]

    @cached_property
    def tokens(self) -> tuple[Token, ...]:
        """Fitted to."""
        clock, most = Clock(self.model, self.rounds), self.longest
        return clock.tokens((16, most // 4, most // 2, most), FIT_TOKENS) + clock.tokens(
            (16, most // 4), BATCH_TOKENS, self.texts
        )

    @cached_property
    def latency(self) -> Latency:
        """The formulas."""
        fitted = [each for each in self.lengths if each not in self.held_lengths]
        return Latency(
            fit_prefill(fitted, [self.prefills[each] for each in fitted]),
            fit_decode(
                [each.seen for each in self.tokens],
                [each.seconds for each in self.tokens],
                [each.texts for each in self.tokens],
            ),
        )

    @cached_property
    def bandwidth(self) -> float:
        """Bytes a second that one thread reads of a vector larger than any cache, by the clock of the other times."""
        torch = transformers_module("torch")
        vector = torch.ones(VECTOR_BYTES // 4)
        with torch_threads():
            took = clocked(lambda: torch.dot(vector, vector), 7, timer=own_clock(1))
        return VECTOR_BYTES / took.median_s

    @cached_property
    def floor_s(self) -> float:
        """The time in which a token's weights are read."""
        return read_bytes(architecture(SUBJECTS[self.subject]), VALUE_BYTES) / self.bandwidth

    def decoded(self) -> Iterator[tuple[int, int, float, float]]:
        """Prompt, tokens, seconds measured and foreseen, of prompts that were not fitted to."""
        clock = Clock(self.model, 1)
        for prompt in (self.longest // 8 + 3, self.longest // 3, 3 * self.longest // 4):
            found = clock.tokens((prompt,), max(self.outputs))
            for count in self.outputs:
                known = sum(each.seconds for each in found[:count])
                yield prompt, count, known, self.latency.decode.seconds(found[0].seen, count)

    @cached_property
    def meter(self) -> tuple[Any, bool]:
        """The machine's counters of energy, or stated power; and whether it is the former."""
        counters = catalog.make("measure/meters", "rapl")
        return (counters, True) if counters.available else (catalog.make("measure/meters", "model"), False)

    def metered(self) -> list[Metered]:
        """Prompts of every other length, and some tokens after each."""
        clock = Clock(self.model)
        cases = enumerate(self.lengths[::2])
        return [clock.metered(prompt, (4, 16, 8, 12)[at % 4], self.meter[0]) for at, prompt in cases]


def latency_found(timed: Timed) -> Iterator[Shown]:
    """Errors on what was held out, what the coefficients stand for, the staircase."""
    latency, held = timed.latency, timed.held_lengths
    off = mape([timed.prefills[each] for each in held], [latency.prefill.seconds(each) for each in held])
    yield Finding("prefill", off, "measured", len(held), why=f"{timed.subject}, one thread, its own time")
    rows = list(timed.decoded())
    off = mape([row[2] for row in rows], [row[3] for row in rows])
    yield Finding("decode", off, "measured", len(rows), why=f"{timed.subject}, prompts of other lengths")
    yield Table("Decode, held out", ("prompt", "tokens", "measured, s", "foreseen, s"), rows)
    wide = [each for each in timed.tokens if each.texts > 1]
    off = mape([each.seconds for each in wide], [latency.decode.token_s(each.seen, each.texts) for each in wide])
    yield Finding("batches", off, "measured", len(wide), why="a line in the number of texts; not held out")
    yield Finding("intercept", latency.decode.first_s / timed.floor_s, "measured", len(timed.tokens),
                  why=f"{latency.decode.first_s * 1e3:.3g} ms; memory gives {timed.bandwidth / 1e9:.3g} GB/s")  # fmt: skip
    yield _slope(timed)
    steps = staircase(timed.lengths, [timed.prefills[each] for each in timed.lengths])
    yield Finding("staircase", steps.present, "measured", len(timed.lengths),
                  why=f"a CPU has no tiles of tensor cores; Akaike's criterion gains {steps.gain:.3g} by rounding up, "
                      f"over a border time rises {steps.rise:.3g} times as fast as within")  # fmt: skip


def _slope(timed: Timed) -> Finding:
    found = architecture(SUBJECTS[timed.subject])
    wanted = (found.cache_bytes(64, VALUE_BYTES) - found.cache_bytes(32, VALUE_BYTES)) / 32 / timed.bandwidth
    return Finding("slope", timed.latency.decode.seen_s / wanted, "measured", len(timed.tokens),
                   why=f"{timed.latency.decode.seen_s * 1e6:.3g} µs a token seen, {wanted * 1e6:.3g} by bytes; beside "
                       "reading, the cache is copied with each token, and layers with a window stop growing")  # fmt: skip


def energy_found(timed: Timed) -> Iterator[Shown]:
    """Power fitted to two thirds of the points; energy of the rest foreseen by power and latency."""
    points, (_, measured) = timed.metered(), timed.meter
    fitted = [each for at, each in enumerate(points) if at % HELD_EVERY != 1]
    held = [each for at, each in enumerate(points) if at % HELD_EVERY == 1]
    prefill = fit_power([each.prompt for each in fitted], [each.prefill_j / each.prefill_s for each in fitted])
    decode = fit_power([each.tokens for each in fitted], [each.decode_j / each.decode_s for each in fitted])
    energy, provenance = Energy(timed.latency, prefill, decode), "measured" if measured else "modelled"
    known = [each.prefill_j + each.decode_j for each in held]
    yield Finding("energy", mape(known, [energy.joules(each.prompt, each.tokens) for each in held]),
                  "measured" if measured else "modelled", len(held),
                  why="" if measured else "no counter of energy can be read here: 5 W, and 5 W for a busy core")  # fmt: skip
    prompt = timed.longest // 4
    yield Note(f"Power kept by Akaike's criterion ({provenance}): prefill {_told(prefill)}, decode {_told(decode)}; "
               f"{energy.joules(prompt, 64) / 64:.3g} J a token, 64 after a prompt of {prompt}.")  # fmt: skip


def _told(power: Power) -> str:
    if power.threshold == inf:
        return f"{power.flat_w:.3g} W throughout"
    return f"{power.flat_w:.3g} W to {power.threshold:g} tokens, then {power.slope_w:.3g} W by the logarithm"
