"""A prefill with products on codes against one in float32, both in the same programme."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.formats import make, quantise
from shoal.kernels.ready import ready
from shoal.kv import Pruning, stages
from shoal.study._agile_rows import PRUNED
from shoal.study.contract import Table
from shoal.train.language import Decoder
from shoal.train.language.forward import Forward

F32 = NDArray[np.float32]
THREADS = min(2, int(os.environ.get("OMP_NUM_THREADS") or 2))  # numpy takes as many
WEIGHTS = "int4g64"

Way = Callable[[], object]


@dataclass(frozen=True)
class Clock:
    """Seconds of each way, one after another in turn."""

    seconds: Mapping[str, tuple[float, ...]]

    def ms(self, name: str) -> float:
        """The median, ms."""
        return 1e3 * median(self.seconds[name])

    def gains(self, slow: str, quick: str) -> list[float]:
        """How many times as quick, of each round."""
        return [one / other for one, other in zip(self.seconds[slow], self.seconds[quick], strict=True)]


def timed(ways: Mapping[str, Way], rounds: int) -> Clock:
    """All ways once for warming up, then in turn."""
    for way in ways.values():
        way()
    return Clock({name: tuple(found) for name, found in zip(ways, zip(*(
        [_seconds(way) for way in ways.values()] for _ in range(rounds)), strict=True), strict=True)})  # fmt: skip


def products(tokens: int, rows: int, columns: int, rounds: int) -> Clock:
    """x·Wᵀ of so many tokens: float32, codes of four bits, and onnxruntime's eight bits on both sides and four bits."""
    source = np.random.default_rng(0)
    x = source.standard_normal((tokens, columns)).astype(np.float32)
    weights = source.standard_normal((rows, columns)).astype(np.float32)
    own = _coded(weights)
    ways: dict[str, Way] = {
        "float32": lambda: x @ weights.T,
        "W4A8": lambda: own(x),
        "onnxruntime W8A8": _onnxruntime(weights, tokens, 8, x),
        "onnxruntime W4A8": _onnxruntime(weights, tokens, 4, x),
    }
    return timed(ways, rounds)


def prefills(decoder: Decoder, tokens: int, rounds: int, seed: int) -> Clock:
    """All of a decoder with weights of normal values: float32, W4A8, and W4A8 with tokens dropped."""
    weights = _weights(decoder, seed)
    coded = {name: _coded(weights[f"{name}.weight"]) for name, _, _ in decoder.products()}
    symbols = np.random.default_rng(seed).integers(0, decoder.vocabulary, (1, tokens))
    kept = Pruning(PRUNED, stages(decoder.layers)).kept

    def on_codes(name: str, x: F32) -> F32:
        return coded[name](x)

    plain = Forward(decoder, weights)
    short = Forward(decoder, weights, kept=kept)
    eight, pruned = (
        Forward(decoder, weights, product=on_codes),
        Forward(decoder, weights, kept=kept, product=on_codes),
    )
    named = {"float32": plain, "float32, pruned": short, "W4A8": eight, "W4A8, pruned": pruned}
    return timed({name: partial(each.run, symbols) for name, each in named.items()}, rounds)


def table(clocks: Mapping[tuple[int, int, int], Clock]) -> Table:
    """Of products, by (tokens, rows, columns)."""
    names = tuple(next(iter(clocks.values())).seconds)
    return Table(
        "Linear layers: prefill, and decode of one token", ("tokens", "rows", "columns", *(f"{each}, ms" for each in names)),
        [(*shape, *(clock.ms(name) for name in names)) for shape, clock in clocks.items()],
        f"medians in turn, {THREADS} threads; weights stay in the cache where they fit",
    )  # fmt: skip


def _weights(decoder: Decoder, seed: int) -> dict[str, F32]:
    source = np.random.default_rng(seed)
    return {
        name: (source.standard_normal(shape, np.float32) / np.float32(shape[1] ** 0.5))
        if len(shape) > 1 else np.ones(shape, np.float32)
        for name, shape in decoder.shapes().items()
    }  # fmt: skip


def _coded(weights: F32) -> Callable[[F32], F32]:
    """The product with weights in four bits, activations in eight."""
    form = make(WEIGHTS)
    matrix = ready(form, quantise(form, weights))
    assert matrix is not None
    return lambda x: matrix.product(x, threads=THREADS)


def _seconds(way: Way) -> float:
    begun = time.perf_counter()
    way()
    return time.perf_counter() - begun


def _onnxruntime(weights: F32, tokens: int, bits: int, x: F32) -> Way:
    """Its product of rounded activations with weights of so many bits."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = THREADS, 3
    model = _eight(weights, tokens) if bits == 8 else _four(weights, tokens)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})


def _eight(weights: F32, tokens: int) -> bytes:
    """DynamicQuantizeLinear and MatMulInteger."""
    scale = np.float32(np.abs(weights).max() / 127)
    codes = np.rint(weights.T / scale).astype(np.int8)
    nodes = [
        ("DynamicQuantizeLinear", ["x"], ["q", "s", "z"], {}),
        ("MatMulInteger", ["q", "w", "z"], ["sums"], {}),
        ("Cast", ["sums"], ["wide"], {"to": 1}),
        ("Mul", ["s", "scale"], ["both"], {}),
        ("Mul", ["wide", "both"], ["y"], {}),
    ]
    return _model(nodes, {"w": codes, "scale": scale}, weights.shape, tokens)


def _four(weights: F32, tokens: int) -> bytes:
    """MatMulNBits on eight-bit activations."""
    rows, columns = weights.shape
    form = make(WEIGHTS)
    coded = quantise(form, weights)
    codes = (coded.codes + np.uint8(1)).reshape(rows, columns // form.group, form.group)  # 8 stands for 0
    packed = (codes[..., ::2] | (codes[..., 1::2] << np.uint8(4))).astype(np.uint8)
    options = {"K": columns, "N": rows, "bits": 4, "block_size": form.group, "accuracy_level": 4,
               "domain": "com.microsoft"}  # fmt: skip
    scales = coded.params["scales"].astype(np.float32).reshape(-1)
    return _model([("MatMulNBits", ["x", "w", "scales"], ["y"], options)], {"w": packed, "scales": scales},
                  weights.shape, tokens)  # fmt: skip


def _model(nodes: list[Any], constants: Mapping[str, Any], shape: tuple[int, ...], tokens: int) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    made = [helper.make_node(kind, given, found, **options) for kind, given, found, options in nodes]
    graph = helper.make_graph(
        made, "product", [helper.make_tensor_value_info("x", TensorProto.FLOAT, (tokens, shape[1]))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (tokens, shape[0]))],
        [numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items()],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    found: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return found
