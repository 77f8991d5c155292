"""Activations in eight bits: which tensors, in which ranges, and what is computed on their codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from shoal.compress import compress, layers_of, opened
from shoal.compress.activations import Range, _Kept, coded_tensors, insert, ranges
from shoal.compress.correct import shift, shifted
from shoal.compress.integers import integer_convolutions
from shoal.compress.techniques.gptq import Gptq
from shoal.compress.techniques.rtn import Rtn
from shoal.graph import Graph, load, save
from tests.compress import nets
from tests.graph.models import floats, info, model, node, write


def bottleneck(bound: float | None = 6.0) -> onnx.ModelProto:
    """Two inverted residuals whose hidden channels differ in size by up to 1 : 20."""
    uneven = np.exp(np.linspace(-2.5, 0.5, 24)).astype(np.float32)
    weights = {"zero": np.array(0, np.float32), "six": np.array(bound or 0, np.float32)}
    nodes = []
    for name, before in (("a", "x"), ("b", "a.sum")):
        weights |= {
            f"{name}.w1": floats(24, 6, 1, 1, seed=1) * uneven[:, None, None, None],
            f"{name}.b1": floats(24, seed=2) * uneven,
            f"{name}.w2": floats(24, 1, 3, 3, seed=3) / uneven[:, None, None, None] / 6, f"{name}.b2": floats(24, seed=4) / 2,
            f"{name}.w3": floats(6, 24, 1, 1, seed=5) / 5, f"{name}.b3": floats(6, seed=6),
        }  # fmt: skip
        bend = f"{{0}} {'zero six' if bound else ''}"
        kind = "Clip" if bound else "Relu"
        nodes += [
            node("Conv", f"{before} {name}.w1 {name}.b1", f"{name}.c1"),
            node(kind, bend.format(f"{name}.c1"), f"{name}.r1"),
            node("Conv", f"{name}.r1 {name}.w2 {name}.b2", f"{name}.c2", group=24, pads=[1, 1, 1, 1]),
            node(kind, bend.format(f"{name}.c2"), f"{name}.r2"),
            node("Conv", f"{name}.r2 {name}.w3 {name}.b3", f"{name}.c3"),
            node("Add", f"{name}.c3 {before}", f"{name}.sum"),
        ]
    nodes += [node("GlobalAveragePool", "b.sum", "p"), node("Flatten", "p", "f"), node("Gemm", "f last", "y")]
    return model(nodes, [info("x", (1, 6, 12, 12))], ["y"], weights | {"last": floats(6, 5, seed=9)}, 21)


def attention() -> onnx.ModelProto:
    """Products between norms, sums with a mask that is very negative, and a softmax."""
    weights = {f"w{number}": floats(16, 16, seed=number) / 4 for number in range(4)}
    weights |= {"b": floats(16), "one": np.ones(16, np.float32), "m": np.array([0, 0, 0, -1e9], np.float32)}
    nodes = [
        node("LayerNormalization", "x one b", "n"),
        node("MatMul", "n w0", "q.p"), node("Add", "q.p b", "q"),
        node("MatMul", "n w1", "k"), node("Transpose", "k", "kt", perm=[1, 0]),
        node("MatMul", "n w2", "v"),
        node("MatMul", "q kt", "s"), node("Identity", "m", "mask"),
        node("Add", "s mask", "sm"), node("Softmax", "sm", "a"), node("MatMul", "a v", "c"),
        node("MatMul", "c w3", "o"), node("Add", "o x", "r"), node("LayerNormalization", "r one b", "y"),
    ]  # fmt: skip
    return model(nodes, [info("x", (4, 16))], ["y"], weights, 21)


def graph_of(proto: onnx.ModelProto, folder: Path) -> Graph:
    return opened(write(proto, folder))


def answers_of(given: Graph | object, folder: Path, samples: list[nets.Arrays]) -> np.ndarray:
    save(given, folder / "now.onnx")  # type: ignore[arg-type]
    return nets.answers(folder / "now.onnx", samples)


def test_sums_that_also_meet_other_ops_stay_float32(tmp_path: Path) -> None:
    graph = graph_of(attention(), tmp_path)
    assert set(coded_tensors(graph, layers_of(graph))) == {"n", "c"}


def test_sums_between_convolutions_are_rounded_unless_only_inputs_are(tmp_path: Path) -> None:
    graph = graph_of(bottleneck(), tmp_path)
    all_in_codes = set(coded_tensors(graph, layers_of(graph)))
    assert {"x", "a.r1", "a.r2", "a.c3", "a.sum", "b.sum", "p", "f"} <= all_in_codes
    assert not {"a.c1", "a.c2", "y"} & all_in_codes
    inputs = set(coded_tensors(graph, layers_of(graph), "int8-inputs"))
    assert inputs == {"x", "a.r1", "a.r2", "a.sum", "b.r1", "b.r2", "f"}


def lost(each: Range, values: NDArray[np.float32]) -> float:
    return float(((each.rounded(values) - values) ** 2).mean())


def kept(items: list[NDArray[np.float32]]) -> _Kept:
    found = _Kept()
    for number, item in enumerate(items):
        found.add(item, 4096, np.random.default_rng(number))
    return found


def test_a_range_holds_all_that_was_seen() -> None:
    """Also what was not drawn."""
    items = [floats(60_000, seed=seed) for seed in range(4)]
    found, whole = kept(items).range("x"), np.concatenate(items)
    assert np.abs(found.rounded(whole) - whole).max() <= 0.51 * found.scale


def test_a_range_leaves_out_what_is_far_off() -> None:
    """The largest value of many counts once: on all values the range is about as good as any around 0."""
    items = [floats(60_000, seed=seed) for seed in range(4)]
    items[2][7] = 300
    found, whole = kept(items).range("x"), np.concatenate(items)
    near = np.delete(whole, 2 * 60_000 + 7)
    others = [Range(end / 127.5, 128) for end in np.linspace(3, 12, 60)]
    assert lost(found, near) < 2 * min(lost(each, near) for each in others)


def test_values_that_a_code_stands_for_exactly_stay_so() -> None:
    pixels = ((np.arange(256, dtype=np.float32) - 127) / 128).repeat(3)
    found = kept([pixels]).range("x")
    assert np.abs(found.rounded(pixels) - pixels).max() < 1e-6


def test_what_is_only_moved_keeps_its_range(tmp_path: Path) -> None:
    graph = graph_of(bottleneck(), tmp_path)
    found = ranges(graph, coded_tensors(graph, layers_of(graph)), nets.samples(bottleneck(), 4))
    assert found["p"] == found["f"]


def test_convolutions_with_float32_sums_compute_on_codes(tmp_path: Path) -> None:
    """The same numbers as with everything decoded, up to the order of sums."""
    proto = bottleneck()
    given = nets.samples(proto, 8)
    found = compress(graph_of(proto, tmp_path), [Gptq("int8")], given, activations="int8-inputs")
    save(found.model, tmp_path / "smaller.onnx")
    onnx.checker.check_model(str(tmp_path / "smaller.onnx"))
    kinds = nets.kinds(tmp_path / "smaller.onnx", tmp_path)
    assert kinds.count("QLinearConv") == 4
    assert kinds.count("ConvInteger") == 2
    assert not {"Conv", "Clip", "MatMul"} & set(kinds)
    assert load(tmp_path / "smaller.onnx").outputs == ("y",)


def test_computing_on_codes_changes_nothing(tmp_path: Path) -> None:
    proto = bottleneck()
    graph, given = graph_of(proto, tmp_path), nets.samples(bottleneck(), 4)
    found = ranges(graph, coded_tensors(graph, layers_of(graph), "int8-inputs"), given)
    small = compress(graph, [Rtn("int8")]).model  # weights alone
    insert(small, found, "int8-inputs")
    before = answers_of(small, tmp_path, given)
    assert integer_convolutions(small) == 2
    np.testing.assert_allclose(answers_of(small, tmp_path, given), before, atol=2e-2 * np.abs(before).max())


def test_a_corrected_bias_gives_the_mean_of_the_float_network(tmp_path: Path) -> None:
    """Exactly so on the samples, where all places were looked at and nothing follows the layer."""
    for nodes, rank in (
        ([node("Conv", "x w b", "y")], 4),
        ([node("Conv", "x w", "y")], 4),
        ([node("Gemm", "x w b", "y", transB=1)], 2),
        ([node("MatMul", "x wt", "m"), node("Add", "m b", "y")], 2),
    ):
        shape = (1, 8, 4, 4) if rank == 4 else (6, 8)
        weights = {"w": floats(5, 8, *(1,) * (rank - 2)), "wt": floats(8, 5), "b": floats(5, seed=1)}
        used = {name for each in nodes for name in each.input}
        kept = {name: array for name, array in weights.items() if name in used}
        proto = model(nodes, [info("x", shape)], ["y"], kept, 21)
        given = [{"x": each["x"] + 1} for each in nets.samples(proto, 6)]
        graph = graph_of(proto, tmp_path)
        axes = (0, 1, 3, 4) if rank == 4 else (0, 1)
        plain, with_it, without = (
            answers_of(each, tmp_path, given).mean(axis=axes)
            for each in (
                graph,
                *(compress(graph, [Rtn("int3")], given, correct=way).model for way in (True, False)),
            )
        )
        np.testing.assert_allclose(with_it, plain, atol=1e-4)
        assert np.abs(without - plain).max() > 0.01


def test_a_product_without_a_bias_is_left_alone(tmp_path: Path) -> None:
    graph = graph_of(nets.mlp(depth=1), tmp_path)
    product = next(iter(graph.model.graph))
    assert product.op_type == "MatMul"
    assert not shifted(graph.model, product, np.ones(64))


def test_a_shift_is_the_mean_of_what_is_lost() -> None:
    from shoal.compress import Layer, Seen

    source = np.random.default_rng(0)
    x = source.standard_normal((2, 50, 6)).astype(np.float32) + 1
    coded = x + 0.1 * source.standard_normal(x.shape).astype(np.float32)
    seen = Seen(6, 2)
    for part in np.split(np.arange(50), 5):
        seen.add(x[:, part], coded[:, part])
    wanted, stored = (source.standard_normal((8, 6)).astype(np.float32) for _ in range(2))
    layer = Layer("y", "Conv", "w", "x", (8, 6), (8, 6, 1, 1), groups=2)
    expected = [
        (x[group] @ wanted[4 * group :][:4].T - coded[group] @ stored[4 * group :][:4].T).mean(axis=0)
        for group in range(2)
    ]
    np.testing.assert_allclose(shift(layer, wanted, stored, seen), np.concatenate(expected), atol=1e-5)
