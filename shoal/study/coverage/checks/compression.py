"""Fewer bytes: of weights, of caches."""

from __future__ import annotations

import math
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from shoal.study.coverage.checks import _lab as lab

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from shoal.kv.policies.contract import Policy

F32: TypeAlias = NDArray[np.float32]
I64: TypeAlias = NDArray[np.int64]


def weights_four_bits() -> dict[str, float]:
    """The small decoder's file with weights in four bits over that in float32, and how perplexity rises."""
    text, found = lab.held(), []
    for bits in ("float32", "int4"):
        with lab.decoder(bits) as (model, size):
            found.append((size, lab.loss(model, text)))
    (whole, before), (small, after) = found
    return {"bytes_share": small / whole, "perplexity_rise": math.exp(after - before) - 1}


def weights_activations() -> dict[str, float]:
    """The small decoder with weights and what products read in eight bits: size, and how perplexity rises."""
    import onnxruntime

    from shoal.compress import compress
    from shoal.compress.techniques.rtn import Rtn
    from shoal.graph import load, save
    from shoal.train.language import losses, save_language, tiny

    decoder, weights = tiny()
    text, samples = lab.held(4), [{"symbols": each[None]} for each in lab.learned(2).x]
    with tempfile.TemporaryDirectory(prefix="shoal-check-") as folder:
        whole = save_language(decoder, weights, decoder.context, Path(folder, "whole.onnx"))
        small = Path(folder, "small.onnx")
        made = compress(load(whole), [Rtn("int8")], samples, activations="int8")
        save(made.model, small)
        found = []
        for path in (whole, small):
            session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
            found.append(float(losses(partial(_each, session), text).mean()))
    return {
        "bytes_share": made.stored_bytes / made.weights_bytes,
        "perplexity_rise": math.exp(found[1] - found[0]) - 1,
    }


def _each(session: InferenceSession, symbols: I64) -> F32:
    """Logits of one stretch after another: such a file takes one at a time."""
    return np.concatenate([session.run(None, {"symbols": each[None]})[0] for each in symbols])


def trained_ternary() -> dict[str, float]:
    """A decoder trained with ternary weights, against one trained in float32 and then rounded: nats lost more."""
    from shoal.train import Recipe
    from shoal.train.language import Decoder, built_decoder, corpus, fit_language, losses, runner
    from shoal.train.ternary import TernaryProducts

    shape = Decoder(width=64, layers=1, heads=2, hidden=128, context=64)
    recipe = Recipe(steps=120, batch=8, optimiser="adamw", rate=1e-2, warmup=0.05, clip=1.0)
    text, products = lab.held(8, 64), TernaryProducts(rank=0)
    plain, trained = built_decoder(shape, 0), built_decoder(shape, 0, products.linear)
    for model in (plain, trained):
        fit_language(model, corpus()[0][:200_000], recipe)
    rounded = built_decoder(shape, 0, products.linear)
    rounded.load_state_dict(plain.state_dict(), strict=False)
    lost = {name: float(losses(runner(each), text).mean())
            for name, each in (("float", plain), ("trained", trained), ("rounded", rounded))}  # fmt: skip
    return {"trained_nats": lost["trained"], "float_nats": lost["float"], "rounded_nats": lost["rounded"],
            "gain_nats": lost["rounded"] - lost["trained"]}  # fmt: skip


def ternary_codes() -> dict[str, float]:
    """A ternary matrix as it is stored and multiplied on its codes: bits a weight, and how far off the product is."""
    from shoal import formats
    from shoal.kernels.ready import ready

    source = np.random.default_rng(0)
    matrix = source.standard_normal((256, 640)).astype(np.float32)
    x = source.standard_normal((1, 640)).astype(np.float32)
    form = formats.make("tern5x8t")
    coded = formats.quantise(form, matrix)
    weights = ready(form, coded)
    assert weights is not None
    exact = x @ formats.restored(form, coded).T
    return {"bits_a_weight": form.stored_bits((256, 640)) / matrix.size,
            "bits_in_memory": 8 * weights.bytes / matrix.size,
            "product_off": float(np.abs(weights.product(x) - exact).max() / np.abs(exact).max())}  # fmt: skip


def cache_four_bits() -> dict[str, float]:
    """Keys and values in four bits: bytes held over those in two bytes a value, and how perplexity rises."""
    from shoal.kv.policies.contract import Head
    from shoal.kv.policies.full import Full
    from shoal.kv.policies.quantised import Quantised

    head = Head(key=32, value=32, value_bytes=2)
    policies = (Full(), Quantised(bits=4))
    before, after = (_attended(policy)[0] for policy in policies)
    share = _attended(policies[1])[1] / _attended(policies[0])[1]
    formula = policies[1].held_bytes(1000, head) / policies[0].held_bytes(1000, head)
    return {"written_share": share, "bytes_share": formula, "perplexity_rise": math.exp(after - before) - 1}


def _attended(policy: Policy) -> tuple[float, float]:
    """Loss of the small decoder whose cache is that, and the bytes that were written into it."""
    from shoal.llm.attention import attending
    from shoal.llm.tiny import tiny
    from shoal.train.language import losses

    model, text, written = tiny("llama").module(), lab.held(2), 0.0

    def run(symbols: I64) -> F32:
        nonlocal written
        with attending(model, policy) as cache:
            found = lab.logits(model, symbols, past_key_values=cache)
            written += cache.traffic().written
        return np.asarray(found)

    return float(losses(run, text).mean()), written


def read_pages() -> dict[str, float]:
    """Bytes of the cache that one token reads where pages are chosen by what it asks for, over all of them."""
    from shoal.kv.policies.full import Full
    from shoal.kv.policies.pages import Pages

    (whole, wanted), (some, found) = (_one_more(each) for each in (Full(), Pages(8, 32, 4, dense=0)))
    near = np.exp(found - found.max()) / np.exp(found - found.max()).sum()
    far = np.exp(wanted - wanted.max()) / np.exp(wanted - wanted.max()).sum()
    return {"read_share": some / whole, "chances_moved": float(np.abs(near - far).sum() / 2)}


def _one_more(policy: Policy) -> tuple[float, F32]:
    """Bytes read for a token after 127, and its logits."""
    from shoal.llm.attention import attending
    from shoal.llm.tiny import tiny

    model, symbols = tiny("llama").module(), lab.held(1).x
    with attending(model, policy) as cache:
        lab.logits(model, symbols[:, :-1], past_key_values=cache)
        cache.traffic()
        found = lab.logits(model, symbols[:, -1:], past_key_values=cache)
        return cache.traffic().read, found[0, -1]


def _experts(technique: str) -> dict[str, float]:
    from shoal import catalog
    from shoal.llm.experts import FAMILY, judged
    from shoal.llm.tiny import tiny

    model, text = tiny("mixtral").module(), lab.held()
    before = judged(model, text)
    catalog.make(FAMILY, technique).apply(model, lab.learned().x)
    after = judged(model, text)
    return {"bytes_share": after.resident_bytes / before.resident_bytes,
            "perplexity_rise": math.exp(after.loss_nats - before.loss_nats) - 1}  # fmt: skip


def neurons_gone() -> dict[str, float]:
    """Hidden neurons of every expert that add least go."""
    return _experts("trim")


def thin_experts() -> dict[str, float]:
    """Experts as their layer's mean and thin differences."""
    return _experts("low_rank")


def distilled() -> dict[str, float]:
    """Experts that go, with and without teaching those left: nats that teaching gains."""
    taught, left = _experts("distil"), _experts("prune")
    return {"bytes_share": taught["bytes_share"], "perplexity_rise": taught["perplexity_rise"],
            "without_teaching": left["perplexity_rise"]}  # fmt: skip
