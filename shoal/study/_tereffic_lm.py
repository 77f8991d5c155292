"""The small decoder without products of activations that comes with shoal: its packed file on this machine's kernels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import MissingExtra
from shoal.study._ternary_cpu import OURS, medians
from shoal.study._ternary_layers import TernaryLayer, layers_of
from shoal.study.contract import Finding, Note, Shown, Table, untestable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.study._bench import Bench

KIND = "matmul_free"
PROMPT, PROMPTS = 32, 6  # bytes of a beginning, and how many
PLACES = 128  # bytes of a stretch of text that is held out


def small_layers() -> Iterator[TernaryLayer]:
    """Of its first block.

    Raises:
        MissingExtra: torch, transformers or safetensors is not installed.
    """
    return layers_of(_small()[1])


def agrees(bench: Bench, letters: int, held: int) -> Iterator[Shown]:
    """Findings "foresees", "text" and "size"."""
    from shoal.llm.matmul_free import open_step, packed_step
    from shoal.train.language import corpus

    try:
        config, model = _small()
    except MissingExtra as fault:
        yield from (untestable(key, fault.message) for key in ("foresees", "text", "size"))
        return
    yield _foresees(model, held)
    bench.say("greedy text")
    packed, text = packed_step(config, model, bench.scratch / "small"), corpus()[1]
    starts = [text[at : at + PROMPT] for at in range(0, len(text) - PROMPT, len(text) // PROMPTS)][:PROMPTS]
    ours = [greedy(open_step(packed.path, config, bench.scratch), start, letters) for start in starts]
    theirs = [greedy(_in_torch(model), start, letters) for start in starts]
    yield Finding("text", ours == theirs, "measured", PROMPTS * letters, why=f"{PROMPTS} beginnings; n: bytes")
    yield Finding(
        "size",
        8 * packed.layers_bytes / packed.weights,
        "computed",
        packed.weights,
        why="n: weights; scales counted",
    )
    yield Note(f"It goes on from “{_plain(starts[-1].tobytes())}” with “{_plain(ours[-1])}”.")


def speeds(bench: Bench, rounds: int, wide: int, layers: int) -> Iterator[Shown]:
    """Findings of int8 and float32: of the small decoder, and of one whose weights are drawn."""
    from shoal.llm.matmul_free import packed_step
    from shoal.llm.modules import module

    try:
        config, model = _small()
    except MissingExtra as fault:
        yield from (
            untestable(f"{name}_{other}", fault.message)
            for name in ("decode", "wide")
            for other in ("int8", "float")
        )
        return
    large = {**config, "hidden_size": wide, "intermediate_size": wide * 11 // 4, "num_hidden_layers": layers}
    rows: list[tuple[str | float, ...]] = []
    for name, (entries, made) in bench.each(
        (("decode", (config, model)), ("wide", (large, module(large)))), "speed"
    ):
        packed = packed_step(entries, made, bench.scratch / name)
        took = medians(packed.path, bench.scratch / name, rounds)
        for other, seconds in took.items():
            rows.append((entries["hidden_size"], entries["num_hidden_layers"], other, 1 / seconds))
            if other != OURS:
                key = f"{name}_{'int8' if 'int8' in other else 'float'}"
                yield Finding(key, seconds / took[OURS], "measured", rounds, why=f"one core, {packed.layers_bytes / 1e6:.3g} MB of packed layers")  # fmt: skip
    yield Table("Decoders without products of activations on this machine, one core", ("width", "layers", "", "tokens/s"), rows,
                "a token at a time, with what is kept of those before it")  # fmt: skip


def greedy(step: Callable[[int], NDArray[np.float32]], start: NDArray[np.uint8], letters: int) -> bytes:
    """The likeliest bytes that follow, one after another."""
    found: list[int] = []
    for symbol in start[:-1]:
        step(int(symbol))
    last = int(start[-1])
    for _ in range(letters):
        last = int(step(last).argmax())
        found.append(last)
    return bytes(found)


def _small() -> tuple[Mapping[str, Any], PreTrainedModel]:
    from shoal.llm.tiny import tiny

    found = tiny(KIND)
    return found.config, found.module()


def _foresees(model: PreTrainedModel, count: int) -> Finding:
    from shoal.llm.tiny._learn import answering
    from shoal.train.language import corpus, perplexity, runner, stretches

    held = stretches(corpus()[1][: count * PLACES], PLACES)
    found = perplexity(runner(answering(model)), held)
    return Finding(
        "foresees", found, "measured", count, why=f"n: stretches of {PLACES} bytes; weights that came with shoal"
    )


def _in_torch(model: PreTrainedModel) -> Callable[[int], NDArray[np.float32]]:
    import torch

    state = model.begin(1)

    def step(symbol: int) -> NDArray[np.float32]:
        nonlocal state
        with torch.no_grad():
            logits, state = model.step(torch.tensor([[symbol]]), state)
        found: NDArray[np.float32] = logits[0, 0].numpy()
        return found

    return step


def _plain(text: bytes) -> str:
    return " ".join(text.decode("utf-8", "replace").split())
