"""Networks in fewer bits: the stored model answers like the codes, codes are run as codes, and what is lost is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from shoal.compress import compress, ends, layers_of, opened
from shoal.compress.contract import Technique
from shoal.compress.layers import weights_of
from shoal.compress.techniques.compensate import Compensate
from shoal.compress.techniques.gptq import Gptq
from shoal.compress.techniques.rtn import Rtn
from shoal.errors import InputError, ModelError
from shoal.graph import load, save
from tests.compress import nets
from tests.graph.models import floats, info, model, node, write

FORMATS = (
    "int8",
    "int4",
    "int4a",
    "int8t",
    "int4g16",
    "int4ag32",
    "int2g16",
    "e2m1",
    "mxfp4",
    "nvint4",
    "hlq2g16",
    "tern2",
)


@pytest.mark.parametrize("layer", range(6))
def test_a_layer_as_a_matrix_gives_what_its_op_gives(layer: int, tmp_path: Path) -> None:
    """W times what was seen, at every place of the output, against onnxruntime."""
    proto = nets.mixed()
    graph = load(write(proto, tmp_path))
    one = layers_of(graph)[layer]
    proto.graph.output[0].name = one.input
    proto.graph.output.append(onnx.ValueInfoProto(name=one.op))
    both = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(nets.mixed())).extract_model(
        ["x"], [one.input, one.op]
    )
    given = nets.samples(nets.mixed(), 1)[0]
    import onnxruntime

    session = onnxruntime.InferenceSession(both.SerializeToString(), providers=["CPUExecutionProvider"])
    before, after = session.run([one.input, one.op], dict(given))
    bias = {"c1": "b1", "g1": "b5"}.get(one.op)
    if bias is not None:
        shift = np.asarray(graph.model.graph.initializers[bias].const_value.numpy())
        after = after - (shift.reshape(1, -1, 1, 1) if after.ndim == 4 else shift)
    seen = one.seen(before, 10**9, np.random.default_rng(0))
    weights = np.split(weights_of(graph, one), one.groups)
    made = np.concatenate([part @ own.T for part, own in zip(seen, weights, strict=True)], axis=1)
    expected = after[0].reshape(after.shape[1], -1).T if after.ndim == 4 else after.reshape(-1, after.shape[-1])
    np.testing.assert_allclose(made, expected, atol=1e-4)


@pytest.mark.parametrize("name", FORMATS)
def test_the_stored_model_answers_as_the_codes_do(name: str, tmp_path: Path) -> None:
    proto = nets.mlp()
    graph = opened(write(proto, tmp_path))
    given = nets.samples(proto)
    found = compress(graph, [Gptq(name)], given)
    save(found.model, tmp_path / "smaller.onnx")
    plain, coded = (nets.answers(path, given) for path in (tmp_path / "small.onnx", tmp_path / "smaller.onnx"))
    error = np.linalg.norm(coded - plain) / np.linalg.norm(plain)
    assert error == pytest.approx(found.output_error["a2"], rel=0.02, abs=1e-4)
    assert 0 < error < 1
    again = load(tmp_path / "smaller.onnx")
    assert again.outputs == graph.outputs
    if all(each.standard for each in found.layers):
        assert again.weights_bytes < graph.weights_bytes


def test_every_kind_of_product(tmp_path: Path) -> None:
    proto = nets.mixed()
    graph = opened(write(proto, tmp_path))
    given = nets.samples(proto)
    found = compress(graph, [Compensate(), Gptq("int8")], given)
    assert [each.op for each in found.layers] == ["c1", "c2", "c3", "m", "g1", "y"]
    assert all(each.standard for each in found.layers)
    save(found.model, tmp_path / "smaller.onnx")
    onnx.checker.check_model(str(tmp_path / "smaller.onnx"))
    plain, coded = (nets.answers(path, given) for path in (tmp_path / "small.onnx", tmp_path / "smaller.onnx"))
    error = np.linalg.norm(coded - plain) / np.linalg.norm(plain)
    assert error == pytest.approx(found.output_error["y"], rel=0.05)
    assert error < 0.02


@pytest.mark.parametrize(("name", "count"), [("int4g16", 3), ("int8", 3), ("int4ag32", 3)])
def test_codes_are_what_is_computed_with(name: str, count: int, tmp_path: Path) -> None:
    """Of a chain of products; where a Relu stands between two, onnxruntime 1.31 joins only the last with its codes."""
    proto = nets.mlp(relu=False)
    found = compress(opened(write(proto, tmp_path)), [Rtn(name)])
    save(found.model, tmp_path / "smaller.onnx")
    assert nets.kinds(tmp_path / "smaller.onnx", tmp_path).count("MatMulNBits") == count
    assert found.stored_bytes == sum(each.bits_per_weight * 64 * 64 / 8 for each in found.layers)


def test_looking_at_activations_helps(tmp_path: Path) -> None:
    """On samples that nothing was fitted to."""
    proto = nets.mlp(depth=4)
    graph = opened(write(proto, tmp_path))
    fresh = nets.samples(proto, 16, seed=1)
    plain = nets.answers(tmp_path / "small.onnx", fresh)
    errors = []
    chains: list[list[Technique]] = [[Rtn("int3g32")], [Gptq("int3g32")], [Compensate(), Gptq("int3g32")]]
    for chain in chains:
        found = compress(graph, chain, nets.samples(proto, 64))
        save(found.model, tmp_path / "smaller.onnx")
        errors.append(float(np.linalg.norm(nets.answers(tmp_path / "smaller.onnx", fresh) - plain)))
    assert errors[1] < 0.9 * errors[0]
    assert errors[2] < errors[1]


def test_a_compensated_layer_is_no_worse_on_what_it_saw() -> None:
    """A mathematical must without damping: the least squares solution."""
    from shoal.compress import Seen, Work

    source = np.random.default_rng(0)
    x = source.standard_normal((1, 500, 24)).astype(np.float32)
    coded = x + 0.3 * source.standard_normal(x.shape).astype(np.float32)
    seen = Seen(24)
    seen.add(x, coded)
    weights = source.standard_normal((8, 24)).astype(np.float32)
    changed = Compensate(damp=0.0).apply(Work(weights), seen, 0).weights
    wanted = x[0] @ weights.T
    assert np.linalg.norm(coded[0] @ changed.T - wanted) < 0.99 * np.linalg.norm(coded[0] @ weights.T - wanted)


def test_the_ends_may_have_another_format_and_ops_may_stay(tmp_path: Path) -> None:
    proto = nets.mlp(depth=4)
    graph = opened(write(proto, tmp_path))
    found = compress(graph, [Rtn("int4g16")], formats=ends(graph, "int8"), skip=["m1"])
    assert [(each.op, each.format) for each in found.layers] == [("m0", "int8"), ("m2", "int4g16"), ("m3", "int8")]


def test_an_older_model_is_brought_to_a_newer_opset(tmp_path: Path) -> None:
    path = write(nets.mixed(13), tmp_path)
    (tmp_path / "newer").mkdir()
    graph = opened(path, folder=tmp_path / "newer")
    given = nets.samples(nets.mixed(13))
    save(compress(graph, [Rtn("int8")], given).model, tmp_path / "smaller.onnx")
    plain, coded = (nets.answers(each, given) for each in (path, tmp_path / "smaller.onnx"))
    assert np.linalg.norm(coded - plain) < 0.05 * np.linalg.norm(plain)
    with pytest.raises(ModelError, match="needed opset 21, had 13"):
        compress(opened(path), [Rtn("int8")], given)


def test_a_layer_that_never_sees_anything(tmp_path: Path) -> None:
    proto = nets.mlp(depth=2)
    given = [{"x": np.zeros((3, 64), np.float32)}]
    found = compress(opened(write(proto, tmp_path)), [Compensate(), Gptq("int4g16")], given)
    assert found.output_error["a1"] == 0


def test_columns_that_never_see_anything_cost_nothing(tmp_path: Path) -> None:
    proto = nets.mlp(depth=1)
    given = [{"x": each["x"] * (np.arange(64) % 2).astype(np.float32)} for each in nets.samples(proto)]
    found = compress(opened(write(proto, tmp_path)), [Gptq("int4g16")], given)
    assert found.layers[0].output_qsnr_db is not None
    assert found.layers[0].output_qsnr_db > 15


def test_what_cannot_be_compressed(tmp_path: Path) -> None:
    proto = nets.mlp(depth=1)
    graph = opened(write(proto, tmp_path))
    given = nets.samples(proto, 2)
    bad = [{"x": np.full((3, 64), np.nan, np.float32)}]
    plain = opened(write(model([node("Relu", "x", "y")], [info("x", (2,))], ["y"]), tmp_path, "plain.onnx"))
    holed = nets.mlp(depth=1)
    holed.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(floats(64, 64) * np.inf, "w0"))
    broken = opened(write(holed, tmp_path, "holed.onnx"))
    for act, said in (
        (lambda: compress(graph, [Gptq("int4g16")]), "looks at activations"),
        (lambda: compress(graph, [Compensate()], given), "the last technique"),
        (lambda: compress(graph, [Rtn("int8"), Rtn("int8")], given), "the last technique"),
        (lambda: compress(graph, [Rtn("int8")], given, skip=["nobody"]), "no product is called 'nobody'"),
        (lambda: compress(graph, [Rtn("int8")], given, skip=["m0"]), "no product with float32 weights"),
        (lambda: compress(plain, [Rtn("int8")]), "no product with float32 weights"),
        (lambda: compress(graph, [Rtn("int4g48")]), "do not divide 64 columns"),
        (lambda: compress(graph, [Rtn("int8")], bad), "not finite"),
        (lambda: compress(graph, [Rtn("int8")], [{}]), "does not fit the input 'x'"),
        (lambda: compress(broken, [Rtn("int8")]), "not finite"),
        (lambda: compress(graph, [Gptq("int4g16+rotate")], given), "cannot round column by column"),
    ):
        with pytest.raises(InputError, match=said):
            act()


def test_activations_in_eight_bits_run_in_integer_kernels(tmp_path: Path) -> None:
    proto = nets.mixed()
    given = nets.samples(proto, 16)
    found = compress(opened(write(proto, tmp_path)), [Gptq("int8")], given, activations="int8")
    save(found.model, tmp_path / "smaller.onnx")
    onnx.checker.check_model(str(tmp_path / "smaller.onnx"))
    kinds = nets.kinds(tmp_path / "smaller.onnx", tmp_path)
    assert kinds.count("QLinearConv") == 3
    assert sum(kinds.count(kind) for kind in ("MatMulIntegerToFloat", "QLinearMatMul", "QGemm")) == 3
    assert not {"Conv", "MatMul", "Relu", "MatMulNBits"} & set(kinds)
    plain, coded = (nets.answers(path, given) for path in (tmp_path / "small.onnx", tmp_path / "smaller.onnx"))
    error = np.linalg.norm(coded - plain) / np.linalg.norm(plain)
    assert error == pytest.approx(found.output_error["y"], rel=1e-3)
    assert error < 0.05


def test_a_normalisation_is_part_of_its_convolution(tmp_path: Path) -> None:
    weights = {
        "w": floats(4, 3, 3, 3), "b": floats(4, seed=1), "s": floats(4, seed=2), "t": floats(4, seed=3),
        "m": floats(4, seed=4), "v": np.abs(floats(4, seed=5)) + 0.1,
    }  # fmt: skip
    for inputs in ("x w b", "x w"):
        nodes = [
            node("Conv", inputs, "c"),
            node("BatchNormalization", "c s t m v", "n", epsilon=1e-3),
            node("Relu", "n", "y"),
        ]
        path = write(model(nodes, [info("x", (1, 3, 8, 8))], ["y"], weights, 21), tmp_path)
        graph = opened(path)
        assert [op.kind for op in graph.ops] == ["Conv", "Relu"]
        save(graph, tmp_path / "folded.onnx")
        given = [{"x": floats(1, 3, 8, 8, seed=7)}]
        np.testing.assert_allclose(
            nets.answers(tmp_path / "folded.onnx", given), nets.answers(path, given), atol=1e-5
        )


def test_sums_of_two_have_a_kernel_on_codes(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "c", pads=[1, 1, 1, 1]), node("Sum", "x c", "s"), node("Conv", "s w", "y")]
    proto = model(nodes, [info("x", (1, 3, 8, 8))], ["y"], {"w": floats(3, 3, 3, 3) / 5}, 21)
    given = [{"x": floats(1, 3, 8, 8, seed=seed)} for seed in range(4)]
    found = compress(opened(write(proto, tmp_path)), [Rtn("int8")], given, activations="int8")
    save(found.model, tmp_path / "smaller.onnx")
    kinds = nets.kinds(tmp_path / "smaller.onnx", tmp_path)
    assert ("QLinearAdd" in kinds, "Sum" in kinds) == (True, False)


def test_activations_that_cannot_be_rounded(tmp_path: Path) -> None:
    proto = nets.mlp(depth=1)
    graph = opened(write(proto, tmp_path))
    for act, said in (
        (lambda: compress(graph, [Rtn("int8")], nets.samples(proto), activations="int4"), "not coded as 'int4'"),
        (lambda: compress(graph, [Rtn("int8")], activations="int8"), "ranges of activations"),
    ):
        with pytest.raises(InputError, match=said):
            act()
