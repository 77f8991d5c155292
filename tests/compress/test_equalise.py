"""Scales moved between tensors and the layers that read them: the network answers the same, and loses less when coded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from examples.models import minilm
from shoal.compress import Equalised, Equaliser, Reading, Seen, compress, equalise, layers_of, opened
from shoal.compress.techniques._channels import lost
from shoal.compress.techniques.awq import Awq
from shoal.compress.techniques.gptq import Gptq
from shoal.compress.techniques.rtn import Rtn
from shoal.compress.techniques.smoothquant import Smoothquant, expected
from shoal.errors import InputError
from shoal.formats import make
from shoal.graph import Graph, load, save
from tests.compress import nets
from tests.graph.models import floats, info, model, node, write

WIDE = [info("x", (1, 5, 8))]
IMAGE = [info("x", (2, 4, 6, 6))]
SQUARE = {f"w{number}": floats(8, 8, seed=number) for number in range(5)}
NORM = {"s": floats(8, seed=20), "t": floats(8, seed=21)}
KERNELS = {
    "k1": floats(6, 4, 3, 3, seed=10), "b1": floats(6, seed=11), "k2": floats(8, 3, 3, 3, seed=12),
    "k3": floats(6, 1, 3, 3, seed=13), "k4": floats(5, 12, 1, 1, seed=14),
}  # fmt: skip


@dataclass(frozen=True)
class Wild:
    """Any scales: whatever they are, answers have to stay."""

    needs_samples = True

    def scales(self, readings: Sequence[Reading]) -> NDArray[np.float64]:
        count = int(readings[0].channels.max()) + 1
        return np.exp(np.random.default_rng(count).standard_normal(count))


def shared() -> onnx.ModelProto:
    """Query, key and value read one norm and nothing else does."""
    nodes = [node("LayerNormalization", "x s t", "n")]
    nodes += [node("MatMul", f"n w{number}", name) for number, name in enumerate("qkv")]
    return model([*nodes, node("Sum", "q k v", "y")], WIDE, ["y"], SQUARE | NORM)


def residual() -> onnx.ModelProto:
    """A sum reads the norm as well."""
    nodes = [node("LayerNormalization", "x s t", "n"), node("MatMul", "n w0", "q"), node("Add", "q n", "y")]
    return model(nodes, WIDE, ["y"], SQUARE | NORM)


def answered() -> onnx.ModelProto:
    """What the second layer reads is an answer too: it has to stay."""
    nodes = [node("MatMul", "x w0", "h"), node("Relu", "h", "r"), node("MatMul", "r w1", "y")]
    return model(nodes, WIDE, ["y", "r"], SQUARE)


def decomposed() -> onnx.ModelProto:
    """A layer norm of small ops, as older exporters write it."""
    nodes = [
        node("ReduceMean", "x", "m", axes=[-1]), node("Sub", "x m", "d"), node("Mul", "d d", "dd"),
        node("ReduceMean", "dd", "v", axes=[-1]), node("Add", "v e", "ve"), node("Sqrt", "ve", "r"),
        node("Div", "d r", "u"), node("Mul", "s u", "us"), node("Add", "us t", "n"), node("MatMul", "n w0", "y"),
    ]  # fmt: skip
    return model(nodes, WIDE, ["y"], SQUARE | NORM | {"e": np.array(1e-5, np.float32)})


def gemms() -> onnx.ModelProto:
    """Both ways round, with a leak, and a bias that is a scalar."""
    nodes = [
        node("Gemm", "x w0 t", "a"), node("LeakyRelu", "a", "b", alpha=0.1),
        node("Gemm", "b w1 c", "d", transB=1, alpha=0.5, beta=2.0), node("Relu", "d", "e"), node("Gemm", "e w2", "y"),
    ]  # fmt: skip
    return model(nodes, [info("x", (3, 8))], ["y"], SQUARE | NORM | {"c": np.array(0.3, np.float32)})


def attention() -> onnx.ModelProto:
    """Values through heads into the output product, and GELU."""
    nodes = [
        node("MatMul", "x w0", "q"), node("MatMul", "x w1", "k"), node("MatMul", "x w2", "v"), node("Add", "v t", "vb"),
        *(node("Reshape", f"{name} heads", f"{name}h") for name in ("q", "k", "vb")),
        node("Transpose", "qh", "qt", perm=[0, 2, 1, 3]), node("Transpose", "kh", "kt", perm=[0, 2, 3, 1]),
        node("Transpose", "vbh", "vt", perm=[0, 2, 1, 3]), node("MatMul", "qt kt", "scores"),
        node("Softmax", "scores", "p"), node("MatMul", "p vt", "o"), node("Transpose", "o", "ot", perm=[0, 2, 1, 3]),
        node("Reshape", "ot width", "c"), node("MatMul", "c w3", "u"),
        node("Div", "u root", "ud"), node("Erf", "ud", "ue"), node("Add", "ue one", "uo"), node("Mul", "u half", "uh"),
        node("Mul", "uh uo", "g"), node("MatMul", "g w4", "y"),
    ]  # fmt: skip
    constants = {
        "heads": np.array([1, 5, 2, 4]), "width": np.array([1, 5, 8]), "root": np.array(2**0.5, np.float32),
        "one": np.array(1, np.float32), "half": np.array(0.5, np.float32),
    }  # fmt: skip
    return model(nodes, WIDE, ["y"], SQUARE | NORM | constants)


def convolutions() -> onnx.ModelProto:
    """Grouped and depthwise ones, pools, a concatenation, and a cut at six."""
    nodes = [
        node("Conv", "x k1 b1", "a", pads=[1, 1, 1, 1]), node("Relu", "a", "b"),
        node("MaxPool", "b", "c", kernel_shape=[2, 2]), node("Conv", "c k2", "d", group=2, pads=[1, 1, 1, 1]),
        node("Clip", "d zero six", "e"), node("Conv", "e k5", "f"),
        node("Conv", "f k3", "g", group=6, pads=[1, 1, 1, 1]), node("Relu", "g", "h"),
        node("AveragePool", "h", "i", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Conv", "c k6", "j"), node("Concat", "i j", "l", axis=1), node("Conv", "l k4", "y"),
    ]  # fmt: skip
    limits = {"zero": np.array(0, np.float32), "six": np.array(6, np.float32)}
    more = {"k5": floats(6, 8, 1, 1, seed=15), "k6": floats(6, 6, 1, 1, seed=16)}
    return model(nodes, IMAGE, ["y"], KERNELS | limits | more)


NETS: dict[str, tuple[Callable[[], onnx.ModelProto], dict[str, tuple[str, ...]], str]] = {
    "shared": (shared, {"n": ("n",)}, ""),
    "residual": (residual, {"n": ("n",)}, "Mul"),
    "answered": (answered, {"x": (), "r": ()}, "Div Div"),
    "decomposed": (decomposed, {"n": ("us", "n")}, ""),
    "gemms": (gemms, {"x": (), "b": ("a",), "e": ("d",)}, "Div"),
    "attention": (attention, {"x": (), "c": ("v", "vb"), "g": ("uh",)}, "Div"),
    # Two kernels of unlike sizes read c.
    "convolutions": (convolutions, {"x": (), "c": ("a",), "e": (), "f": ("f",), "l": ("g", "j")}, "Div Div"),
    "mixed": (nets.mixed, {"x": (), "r1": ("c1",), "r2": ("c2",), "f": ("c3",), "r3": ("m",), "r4": ("g1",)}, "Div"),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_the_answers_stay_and_ops_are_added_only_where_they_must(name: str, tmp_path: Path) -> None:
    build, expected, added = NETS[name]
    proto = build()
    graph = load(write(proto, tmp_path))
    even, told = everywhere(graph, Wild(), nets.samples(proto, 2))
    assert {each.tensor: each.into for each in told} == expected
    kinds = [op.kind for op in graph.ops]
    more = [op.kind for op in even.ops]
    for kind in kinds:
        more.remove(kind)
    assert " ".join(more) == added
    stays(graph, even, nets.samples(proto, 3, seed=5), tmp_path)
    assert (even.inputs, even.outputs) == (graph.inputs, graph.outputs)


def test_what_was_changed_can_be_changed_again(tmp_path: Path) -> None:
    proto = residual()
    graph = load(write(proto, tmp_path))
    even, told = everywhere(graph, Wild(), nets.samples(proto, 2))
    assert told == (Equalised("n", ("q",), ("n",), True, told[0].least, told[0].most),)
    again, _ = everywhere(even, Wild(), nets.samples(proto, 2))
    stays(graph, again, nets.samples(proto, 3, seed=5), tmp_path)


def test_a_weight_that_two_layers_share_is_scaled_for_each(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w0", "h"), node("Relu", "h", "r"), node("MatMul", "r w0", "y")]
    proto = model(nodes, WIDE, ["y"], SQUARE)
    graph = load(write(proto, tmp_path))
    even, _ = everywhere(graph, Wild(), nets.samples(proto, 2))
    stays(graph, even, nets.samples(proto, 3, seed=5), tmp_path)


def test_a_sentence_encoder_answers_the_same(tmp_path: Path) -> None:
    """All scales go into ops that are there; a Mul stands before each of the twelve residual sums."""
    graph = load(minilm.model(), dict.fromkeys(minilm.INPUTS, (1, 16)))
    texts = ("Ships sail where the wind lets them.", "A second sentence, about rounding numbers.")
    given = [minilm.encode([text], tokens=16) for text in texts]
    even, told = everywhere(graph, Smoothquant(always=True), given[:1])
    assert len(told) == 24
    assert all(each.into for each in told)
    assert len(even.ops) - len(graph.ops) == 12
    stays(graph, even, given, tmp_path)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.8, 1.0])
def test_smoothing_is_as_published(alpha: float) -> None:
    readings = [reading(seed) for seed in (1, 2)]
    inputs = np.max([each.seen.largest[0] for each in readings], axis=0)
    weights = np.max([np.abs(each.weights).max(axis=0) for each in readings], axis=0)
    published = inputs**alpha / weights ** (1 - alpha)
    np.testing.assert_allclose(Smoothquant(alpha, always=True).scales(readings), published)


def test_what_smoothing_would_harm_stays_as_it_is() -> None:
    """Inputs that are alike, and weights that are not but have a scale each: there is nothing to move."""
    source = np.random.default_rng(0)
    x = source.uniform(-1, 1, (1, 400, 32)).astype(np.float32)
    weights = source.standard_normal((16, 32)).astype(np.float32)
    weights[:, ::2] /= 10
    seen = Seen(32)
    seen.add(x, x)
    readings = [Reading(weights, seen, np.arange(32)[None], make("int8g1"))]
    np.testing.assert_array_equal(Smoothquant().scales(readings), np.ones(32))
    assert expected(readings, Smoothquant(always=True).scales(readings)) > expected(readings, np.ones(32))


def test_channels_that_see_nothing_or_give_nothing_get_a_middling_scale() -> None:
    one = reading(1)
    weights, largest = one.weights.copy(), one.seen.largest.copy()
    weights[:, 3] = 0
    one.seen.largest[0, 5] = 0
    one.seen.square[0, 5] = one.seen.square[0, :, 5] = 0
    for technique in (Smoothquant(always=True), Awq()):
        found = technique.scales([Reading(weights, one.seen, one.channels, one.form)])
        assert np.isfinite(found).all()
        assert (found > 0).all()
    nothing = Reading(weights * 0, Seen(32), one.channels, one.form)
    for technique in (Smoothquant(always=True), Awq()):
        np.testing.assert_array_equal(technique.scales([nothing]), np.ones(32))
    assert largest[0, 5] > 0


def test_smoothing_saves_a_channel_of_outliers_in_eight_bits(tmp_path: Path) -> None:
    """By the whole network's answers, with weights and activations in eight bits, on samples nothing was fitted to."""
    proto, graph = outlying(tmp_path)
    given, fresh = nets.samples(proto, 16), nets.samples(proto, 16, seed=1)
    plain = nets.answers(tmp_path / "small.onnx", fresh)
    errors = []
    for before in ((), (Smoothquant(),)):
        found = compress(graph, [*before, Rtn("int8")], given, activations="int8")
        save(found.model, tmp_path / "smaller.onnx")
        errors.append(
            np.linalg.norm(nets.answers(tmp_path / "smaller.onnx", fresh) - plain) / np.linalg.norm(plain)
        )
        assert [each.into for each in found.equalised] == [("n",), ("h",)][: 2 * len(before)]
    assert errors[1] < 0.5 * errors[0]


@pytest.mark.parametrize("name", ["int3g16", "int4", "e2m1g16", "hlq2g16", "mxfp4"])
def test_searched_scales_never_lose_more(name: str) -> None:
    """Of layers that read one tensor: together; of a single layer: of that one."""
    ones = np.ones(32)
    for seed in range(3):
        some = [reading(seed, name), reading(seed + 10, name)]
        found = Awq(steps=8).scales(some)
        whole = [each.seen.energy(each.weights, 0) for each in some]
        sums = [
            sum(lost(each, scales) / own for each, own in zip(some, whole, strict=True)) for scales in (found, ones)
        ]
        assert sums[0] <= sums[1]
        alone = Awq(steps=8).scales(some[:1])
        assert lost(some[0], alone) <= lost(some[0], ones)


def test_searched_scales_help_a_network(tmp_path: Path) -> None:
    proto = nets.mlp(depth=3)
    graph = opened(write(proto, tmp_path))
    given, fresh = nets.samples(proto, 32), nets.samples(proto, 16, seed=1)
    plain = nets.answers(tmp_path / "small.onnx", fresh)
    errors = []
    for before in ((), (Awq(),)):
        found = compress(graph, [*before, Rtn("int3g32")], given)
        save(found.model, tmp_path / "smaller.onnx")
        errors.append(
            np.linalg.norm(nets.answers(tmp_path / "smaller.onnx", fresh) - plain) / np.linalg.norm(plain)
        )
    assert errors[1] < 0.95 * errors[0]


def test_depthwise_convolutions_are_scaled_by_channel() -> None:
    one = Seen(9, groups=4)
    source = np.random.default_rng(0)
    x = (source.standard_normal((4, 50, 9)) * np.array([1, 10, 0.1, 3])[:, None, None]).astype(np.float32)
    one.add(x, x)
    weights = source.standard_normal((4, 9)).astype(np.float32)
    found = Smoothquant(1.0, always=True).scales(
        [Reading(weights, one, np.arange(4)[:, None].repeat(9, 1), make("int8"))]
    )
    np.testing.assert_allclose(found, np.abs(x).max(axis=(1, 2)), rtol=1e-6)


def test_layers_to_skip_stay_as_they_are(tmp_path: Path) -> None:
    proto = shared()
    graph = opened(write(proto, tmp_path))
    found = compress(graph, [Smoothquant(always=True), Rtn("e4m3")], nets.samples(proto, 2), skip=["k"])
    assert [(each.layers, each.restored) for each in found.equalised] == [(("q", "v"), True)]
    kept = found.model.graph.initializers["w1"].const_value
    assert kept is not None
    np.testing.assert_array_equal(kept.numpy(), SQUARE["w1"])


def test_equalisers_come_first(tmp_path: Path) -> None:
    proto = nets.mlp(depth=1)
    graph = opened(write(proto, tmp_path))
    given = nets.samples(proto, 2)
    acts: list[tuple[Callable[[], Any], str]] = [
        (lambda: compress(graph, [Gptq("int8"), Smoothquant()], given), "smoothquant works on the whole network"),
        (lambda: compress(graph, [Awq(), Rtn("int8"), Awq(), Rtn()], given), "awq works on the whole network"),
        (lambda: compress(graph, [Smoothquant()], given), "the last technique, and no other, codes"),
        (lambda: compress(graph, [Smoothquant(), Rtn("int8")]), "smoothquant looks at activations"),
        (lambda: compress(graph, [Awq(), Rtn("int4g48")], given), "do not divide 64 columns"),
        (lambda: Smoothquant(alpha=1.5), "needed 0 to 1, had 1.5"),
        (lambda: Awq(steps=0), "at least 1"),
    ]
    for act, said in acts:
        with pytest.raises(InputError, match=said):
            act()


def everywhere(
    graph: Graph, technique: Equaliser, given: Sequence[Any], form: str = "int8"
) -> tuple[Graph, tuple[Equalised, ...]]:
    return equalise(graph, technique, {layer.op: form for layer in layers_of(graph)}, given)


def stays(graph: Graph, even: Graph, given: Sequence[Any], folder: Path) -> None:
    """Within rounding of float32."""
    for number, each in enumerate((graph, even)):
        save(each, folder / f"{number}.onnx")
    plain, changed = (nets.answers(folder / f"{number}.onnx", list(given)) for number in range(2))
    assert np.linalg.norm(changed - plain) < 1e-5 * np.linalg.norm(plain)
    assert np.abs(changed - plain).max() < 1e-4 * np.abs(plain).max()


def reading(seed: int, form: str = "int4g16") -> Reading:
    """Sixteen rows, and 32 columns of which some see much."""
    source = np.random.default_rng(seed)
    seen = Seen(32)
    x = (source.standard_normal((1, 200, 32)) * np.exp(1.5 * source.standard_normal(32))).astype(np.float32)
    seen.add(x, x)
    weights = source.standard_normal((16, 32)).astype(np.float32)
    return Reading(weights, seen, np.arange(32)[None], make(form))


def outlying(folder: Path) -> tuple[onnx.ModelProto, Graph]:
    """Two products behind a norm that makes one channel a hundred times larger than the others."""
    scale = np.ones(64, np.float32)
    scale[7] = 100
    weights = {
        "w0": floats(64, 64, seed=1) / 8,
        "w1": floats(64, 64, seed=2) / 8,
        "s": scale,
        "t": floats(64, seed=3),
    }
    weights["w0"][7] /= 50
    nodes = [
        node("LayerNormalization", "x s t", "n"), node("MatMul", "n w0", "h"), node("Relu", "h", "r"),
        node("MatMul", "r w1", "y"),
    ]  # fmt: skip
    proto = model(nodes, [info("x", (4, 64))], ["y"], weights, 21)
    return proto, opened(write(proto, folder))
