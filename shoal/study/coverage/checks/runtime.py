"""How models run on one device."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shoal.study.coverage.checks import _lab as lab

if TYPE_CHECKING:
    from shoal.llm.checkpoint.kept import Bits
    from shoal.llm.service import Counts

NEW = 24


def pages() -> dict[str, float]:
    """A cache of pages: all of them give the whole cache's answers; few of them are fewer bytes."""
    from shoal.kv.policies.full import Full
    from shoal.kv.policies.pages import Pages
    from shoal.llm.attention import attending
    from shoal.llm.tiny import tiny

    model, symbols = tiny("llama").module(), lab.held(1).x[:, :121]
    found = []
    for policy in (Full(), Pages(16, 256, 16, dense=0), Pages(16, 48, 16, dense=0)):
        with attending(model, policy) as cache:
            lab.logits(model, symbols[:, :-1], past_key_values=cache)
            cache.traffic()
            answer = lab.logits(model, symbols[:, -1:], past_key_values=cache)
            found.append((answer, float(cache.traffic().read)))
    (whole, most), (every, _), (_, some) = found
    places = -(-symbols.size // 16) * 16
    return {"pages_off": float(np.abs(every - whole).max() / np.abs(whole).max()), "read_share": some / most,
            "waste_share": places / symbols.size - 1}  # fmt: skip


def drafted() -> dict[str, float]:
    """A drafter that looks back in the text: passes of the target over those without, and that the text is the same."""
    from shoal import catalog
    from shoal.llm.drafting import FAMILY, Budget, generate
    from shoal.llm.tiny import tiny

    target = tiny("llama").module()
    alone = generate(target, lab.PROMPT, 48)
    found = generate(target, lab.PROMPT, 48, drafter=catalog.make(FAMILY, "ngram:shortest=3"), tree=Budget.chain(6))
    return {"same_text": found.tokens == alone.tokens, "passes_share": found.rounds / alone.rounds,
            "accepted": found.accepted}  # fmt: skip


def streamed() -> dict[str, float]:
    """A decoder whose weights lie in a file, a third of them in memory at most: that it writes the same text."""
    import torch

    from shoal import catalog
    from shoal.llm.offload.kept import stored_tiny
    from shoal.llm.offload.layers import offloaded
    from shoal.llm.tiny import tiny
    from shoal.store import POLICIES, FileTier, TensorStore

    small, symbols = tiny("llama"), torch.tensor([list(lab.PROMPT)])
    kept = stored_tiny(small, tile_bytes=64 << 10)
    weights_bytes = sum(each.bytes for each in FileTier(kept.path).records.values())
    policy = catalog.make(POLICIES, "cyclic")
    with torch.no_grad(), TensorStore(FileTier(kept.path), weights_bytes // 3, policy) as store:
        wanted = small.module().generate(symbols, max_new_tokens=NEW, do_sample=False)
        with offloaded(kept.facts.config, kept.laid, store, ahead=1) as model:
            found = model.generate(symbols, max_new_tokens=NEW, do_sample=False)
        peak_bytes = store.told().peak_bytes
    return {"same_text": bool((found == wanted).all()), "peak_share": peak_bytes / weights_bytes}


def fused() -> dict[str, float]:
    """Kernels launched one by one, and as chains of eight, in simulated time: how much sooner the last one ends."""
    from shoal.sim import simulate_launches

    took = []
    for chain in (1, 8):
        count = 400 // chain
        emitted = [10e-6 * (place + 1) for place in range(count)]
        trace = simulate_launches(["product"] * count, emitted, [2e-6 * chain] * count, 2e-6)
        took.append(max(each.end_s for each in trace.kernels))
    return {"speedup": took[0] / took[1]}


def codes() -> dict[str, float]:
    """A product on codes of four bits by the kernels of this machine: how far off, how many bytes, how quick."""
    from shoal import formats
    from shoal.kernels import lowbit_paths
    from shoal.kernels.ready import ready

    source = np.random.default_rng(0)
    matrix = source.standard_normal((2048, 2048)).astype(np.float32)
    x = source.standard_normal((1, 2048)).astype(np.float32)
    form = formats.make("int4g32")
    coded = formats.quantise(form, matrix)
    weights = ready(form, coded)
    assert weights is not None
    restored = formats.restored(form, coded)
    exact = x @ restored.T
    quick, slow = _seconds(lambda: weights.product(x)), _seconds(lambda: x @ restored.T)
    return {"product_off": float(np.abs(weights.product(x) - exact).max() / np.abs(exact).max()),
            "bytes_share": weights.bytes / matrix.nbytes, "native": lowbit_paths()[0] != "numpy",
            "times_float32": slow / quick}  # fmt: skip


def _seconds(act: Callable[[], object]) -> float:
    """The median of 20."""
    took = []
    for _ in range(20):
        begun = time.perf_counter()
        act()
        took.append(time.perf_counter() - begun)
    return float(np.median(took))


def texts(
    names: Sequence[str], over: str, rows: int, weights: Bits = "stored"
) -> tuple[list[list[int]], float, Counts]:
    """Four texts that the small decoder goes on with on these devices: their tokens, seconds, and what was done."""
    from shoal.llm.checkpoint import Wanted, prepared
    from shoal.llm.service import Request, Room, generating, placed
    from shoal.llm.tiny import save_folder, tiny

    prompts = (b"The module provides ", b"If the argument is ", b"A list of strings ", b"class ")
    with tempfile.TemporaryDirectory(prefix="shoal-check-") as folder:
        kept = prepared(save_folder(tiny("llama"), Path(folder, "small")), Wanted(weights, 256, 4))
        where = lab.here(names)
        with generating(lambda lost: placed(kept, where, Room(rows, 32), exclude=lost), 256, over) as generator:
            generator.ask(Request((1,), 2)).all()
            begun = time.perf_counter()
            if rows == 1:
                found = [generator.ask(Request(tuple(each), NEW)).all() for each in prompts]
            else:
                streams = [generator.ask(Request(tuple(each), NEW)) for each in prompts]
                found = [each.all() for each in streams]
            return found, time.perf_counter() - begun, generator.counts


def batched() -> dict[str, float]:
    """Four texts at once against one after another: the same tokens, sooner."""
    (alone, one_s, before), (together, four_s, after) = (texts(("here",), "memory", rows) for rows in (1, 4))
    return {"same_text": alone == together, "steps_share": after.steps / before.steps, "times_faster": one_s / four_s,
            "tokens_per_s": 4 * NEW / four_s}  # fmt: skip
