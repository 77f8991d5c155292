"""What a model answers whose weights come from a disk, and what memory that takes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from shoal.cost.offload import Transformer, bandwidth_for, states_intensity, weights_intensity
from shoal.errors import WorkError
from shoal.llm.offload.kept import Stored, stored, stored_tiny
from shoal.llm.offload.timed import Job, Steps, run
from shoal.measure.watched import Watched
from shoal.store import FileTier, Key
from shoal.study import Bench, Finding, Note, Shown, Table
from shoal.study._repository import beside

PROMPT = "The capital of France is the city of"
PEAK = 70e12  # flop/s that the paper takes for a V100


@dataclass(frozen=True)
class Subject:
    """A model in a store."""

    name: str
    stored: Stored
    prompt: tuple[int, ...]

    @cached_property
    def sizes(self) -> dict[Key, int]:
        """Bytes of its records."""
        return {key: record.bytes for key, record in FileTier(self.stored.path).records.items()}

    @property
    def bytes(self) -> int:
        """Of all weights."""
        return sum(self.sizes.values())

    @property
    def least_bytes(self) -> int:
        """The smallest budget in which it runs with one record ahead."""
        return self.stored.laid.least_bytes(self.sizes) + max(self.sizes.values())

    def job(self, budget_bytes: int, ahead: int, tokens: tuple[int, ...], **more: Any) -> Job:
        """Steps of it."""
        return Job(str(self.stored.path.parent), budget_bytes, ahead, tokens, **more)


def subject(name: str, tile_bytes: int) -> Subject:
    """A small model that comes with shoal, or Gemma."""
    from shoal.llm.tiny import tiny

    if name != "gemma3-270m":
        return Subject(name, stored_tiny(tiny(name), tile_bytes), tuple(PROMPT.encode()))
    found, kept = stored(beside("examples.models.gemma3").file(), tile_bytes)
    return Subject(name, found, tuple(kept.text.tokens(PROMPT)))


def formulas() -> Iterator[Shown]:
    """The published numbers from sizes alone."""
    blocks = Transformer(128, 25600)
    yield Finding("states", blocks.states_bytes / blocks.parameters, "computed")
    yield Finding("half", bandwidth_for(0.5, weights_intensity(1, 1024), PEAK) / 1e9, "computed")
    yield Finding("optimiser", bandwidth_for(0.9, states_intensity(2, 1024), PEAK) / 1e9, "computed",
                  why="aggregate; published as nearly 1.5 TB/s")  # fmt: skip


def same(found: Subject, budget_bytes: int, new: int, bench: Bench) -> Iterator[Shown]:
    """Text, logits and memory: from a disk in the budget, from a disk with room for all, and in memory."""
    bench.say(f"text within {budget_bytes / 1e6:.0f} of {found.bytes / 1e6:.0f} MB")
    small = run(found.job(budget_bytes, 1, found.prompt, new=new))
    bench.say("with room for all weights")
    large = run(found.job(found.bytes, 1, found.prompt, new=new))
    given, logits = _in_memory(found, new)
    yield Finding("text", small.answer.given == given == large.answer.given, "measured", new)
    off = float(np.abs(np.subtract(small.answer.logits, logits)).max() / np.abs(logits).max())
    yield Finding("logits", off, "measured", len(logits), why="of the largest magnitude")
    yield Finding("again", small.answer.logits == large.answer.logits, "measured", len(logits))
    yield Finding("held", small.answer.told.peak_bytes / budget_bytes, "measured", small.answer.told.records_read)
    left_out = found.bytes - budget_bytes
    yield Finding("resident", 100 * (_grown(large) - _grown(small)) / left_out, "measured", 2,
                  why="the most that is resident, as the system counts it, beyond the libraries; from another process")  # fmt: skip
    rows = [
        (
            name,
            budget / 1e6,
            each.answer.told.peak_bytes / 1e6,
            _grown(each) / 1e6,
            _rate(each),
            each.answer.told.read_bytes / 1e6,
        )
        for name, budget, each in (("a part", budget_bytes, small), ("all", found.bytes, large))
    ]
    columns = (
        "room for",
        "budget, MB",
        "records at most, MB",
        "resident beyond the libraries, MB",
        "tokens/s",
        "read, MB",
    )
    yield Table(f"{found.name}: {new} tokens of text from this machine's disk", columns, rows,
                note="read past the system's cache where the file system can")  # fmt: skip


def tiled(found: Subject, bench: Bench) -> Iterator[Shown]:
    """The vocabulary in one piece and in tiles, in a budget below it."""
    from shoal.llm.offload.laid import EMBEDDED, HEAD

    bench.say("tiles")
    head = found.stored.laid.tiles.get(HEAD, found.stored.laid.tiles[EMBEDDED])
    whole = sum(found.sizes[key] for key in head.keys)
    budget_bytes = min(whole - 4096, max(whole // 2, found.least_bytes))
    refused = ""
    try:
        run(found.job(budget_bytes, 0, found.prompt) if len(head.keys) == 1 else _whole(found, budget_bytes))
    except WorkError as fault:
        refused = fault.message
    answered = run(found.job(budget_bytes, 0, found.prompt))
    right = "budget holds not even one record" in refused and len(answered.answer.logits) == head.rows
    yield Finding(
        "tiled", right, "measured", len(head.keys), why=f"{whole / 1e6:.3g} MB in {budget_bytes / 1e6:.3g} MB"
    )
    yield Finding("working", whole / max(found.sizes[key] for key in head.keys), "measured", len(head.keys))
    yield Note(f"Untiled: {refused.rpartition(': ')[2]}.")


def _whole(found: Subject, budget_bytes: int) -> Job:
    """The same model with its vocabulary in one record."""
    other = subject(found.name, 1 << 40)
    return other.job(budget_bytes, 0, found.prompt)


def _in_memory(found: Subject, new: int) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """What transformers' own module gives, its weights in memory."""
    import torch

    from shoal.llm.modules import module

    tier, weights = FileTier(found.stored.path), dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]()
    laid = found.stored.laid
    read = {key: _record(tier, key) for key in tier.records}
    for key in laid.whole:
        weights |= read[key]
    for name, tiles in laid.tiles.items():
        weights[name] = np.concatenate([read[key]["rows"] for key in tiles.keys])
    made, symbols = module(found.stored.facts.config, weights), torch.tensor([found.prompt])
    with torch.no_grad():
        logits = made(symbols).logits[0, -1]
        given = made.generate(symbols, max_new_tokens=new, min_new_tokens=new, do_sample=False)[
            0, symbols.shape[1] :
        ]
    return tuple(given.tolist()), tuple(logits.tolist())


def _record(tier: FileTier, key: Key) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    import mmap

    held = mmap.mmap(-1, tier.records[key].bytes)
    tier.read(key, memoryview(held))
    return tier.records[key].views(memoryview(held))


def _grown(each: Watched[Steps]) -> int:
    return each.peak_bytes - each.before_bytes


def _rate(each: Watched[Steps]) -> float:
    seconds = each.answer.seconds[1:]
    return len(seconds) / sum(seconds)
