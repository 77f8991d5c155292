from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from shoal.errors import ModelError
from shoal.graph import Graph, array, load, save
from tests.graph.models import LIGHT_NAMES, floats, info, light, model, node, write


def run(path: Path, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options).run(None, feeds)


def same_as_file(graph: Graph, path: Path, folder: Path, feeds: dict[str, np.ndarray]) -> None:
    """What was loaded, written again, answers like the file it came from."""
    again = folder / "again.onnx"
    save(graph, again)
    wanted = dict(
        zip([o.name for o in ort.InferenceSession(str(path)).get_outputs()], run(path, feeds), strict=True)
    )
    kept = {name: value for name, value in feeds.items() if name in graph.inputs}
    names = [output.name for output in ort.InferenceSession(str(again)).get_outputs()]
    for name, got in zip(names, run(again, kept), strict=True):
        np.testing.assert_allclose(got, wanted[name], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LIGHT_NAMES)
def test_light_models_load(name: str) -> None:
    graph = load(light(name.removeprefix("light_")))
    assert len(graph.inputs) == len(graph.outputs) == 1
    assert graph.tensors[graph.inputs[0]].shape == (1, 3, 224, 224)
    assert prod(graph.tensors[graph.outputs[0]].shape) == 1000
    assert len({op.name for op in graph.ops}) == len(graph.ops)
    assert not {op.kind for op in graph.ops} & {"ConstantOfShape", "Constant", "Identity", "Dropout"}
    made = set(graph.inputs)
    for op in graph.ops:
        assert made.issuperset(op.inputs)
        made.update(op.outputs)
        assert op.name == op.outputs[0]


def test_graphs_can_be_keys() -> None:
    one, two = load(light("squeezenet")), load(light("squeezenet"))
    assert {one: 1}[two] == 1
    assert one != load(light("shufflenet"))


def prod(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape))


def test_known_sizes() -> None:
    resnet, vgg = load(light("resnet50")), load(light("vgg19"))
    assert 3.8e9 < resnet.macs < 4.1e9
    assert 19.5e9 < vgg.macs < 19.8e9
    assert 574e6 < vgg.weights_bytes < 575e6
    assert resnet.weights_bytes == sum(weight.bytes for weight in resnet.weights.values())


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
def test_rewrites_change_no_answer(name: str, tmp_path: Path) -> None:
    graph = load(light(name))
    same_as_file(graph, light(name), tmp_path, {graph.inputs[0]: floats(1, 3, 224, 224)})


def test_weights_of_a_recipe_are_not_made_at_load() -> None:
    tensor = load(light("vgg19")).model.graph.initializers["fc6_w_0"].const_value
    assert type(tensor).__name__ == "LazyTensor"
    assert tensor is not None
    assert tensor.nbytes > 400e6


# --- inputs and shapes ---


def dynamic() -> onnx.ModelProto:
    """Flattens by a shape worked out from the input's, as exporters write it."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "batch", axis=0),
        node("Unsqueeze", "batch zero_list", "batch_list"),
        node("Concat", "batch_list minus_one", "target", axis=0),
        node("Relu", "x", "y"),
        node("Reshape", "y target", "z"),
    ]
    weights = {"zero": np.int64(0), "zero_list": np.array([0]), "minus_one": np.array([-1])}
    return model(nodes, [info("x", ["n", 3, "h", "w"])], ["z"], {k: np.asarray(v) for k, v in weights.items()})


@pytest.mark.parametrize(
    ("shapes", "sizes"),
    [({"x": (2, 3, 4, 5)}, {}), ({}, {"n": 2, "h": 4, "w": 5}), ({"x": (2, 3, 4, 5)}, {"n": 2})],
)
def test_dynamic_shapes_collapse(tmp_path: Path, shapes: dict[str, tuple[int, ...]], sizes: dict[str, int]) -> None:
    path = write(dynamic(), tmp_path)
    graph = load(path, shapes, sizes)
    assert [op.kind for op in graph.ops] == ["Relu", "Reshape"]
    assert graph.tensors["z"].shape == (2, 60)
    same_as_file(graph, path, tmp_path, {"x": floats(2, 3, 4, 5)})


@pytest.mark.parametrize(
    ("shapes", "sizes", "what", "hint"),
    [
        ({}, {}, "input 'x': dimension 0 ('n') is left open", "--shape x=1,3,224,224"),
        ({}, {"n": 1}, "dimension 2 ('h')", "--shape x=1,3,224,224"),
        ({"y": (1, 3, 4, 4)}, {}, "no input 'y'", "known: x"),
        ({}, {"m": 1}, "no dimension 'm'", "known: h, n, w"),
        ({"x": (1, 3, 4)}, {}, "another rank", None),
        ({"x": (1, 4, 4, 4)}, {}, "contradicts dimension 3", None),
        ({"x": (2, 3, 4, 4)}, {"n": 1}, "contradicts dimension n", None),
        ({"x": (0, 3, 4, 4)}, {}, "positive", None),
    ],
)
def test_wrong_shapes_are_refused(
    tmp_path: Path, shapes: dict[str, tuple[int, ...]], sizes: dict[str, int], what: str, hint: str | None
) -> None:
    with pytest.raises(ModelError, match=r"small\.onnx") as caught:
        load(write(dynamic(), tmp_path), shapes, sizes)
    assert what in caught.value.message
    assert hint is None or caught.value.hint == hint


def test_a_dimension_named_twice_is_one(tmp_path: Path) -> None:
    path = write(model([node("Add", "a b", "c")], [info("a", ["n", 4]), info("b", ["n", 4])], ["c"]), tmp_path)
    assert load(path, {"a": (3, 4)}).tensors["b"].shape == (3, 4)
    with pytest.raises(ModelError, match="contradicts dimension n"):
        load(path, {"a": (3, 4), "b": (2, 4)})


@pytest.mark.parametrize("dim", [-1, 0, "?", None])
def test_open_dimensions_however_written(tmp_path: Path, dim: int | str | None) -> None:
    path = write(model([node("Relu", "x", "y")], [info("x", [dim, dim])], ["y"]), tmp_path)
    assert load(path, {"x": (2, 5)}).tensors["y"].shape == (2, 5)
    with pytest.raises(ModelError, match="dimension 0 is left open"):
        load(path)


def test_a_shape_that_depends_on_data_is_refused(tmp_path: Path) -> None:
    proto = model([node("NonZero", "x", "y")], [info("x", [4])], ["y"], y=TensorProto.INT64)
    with pytest.raises(ModelError, match=r"op 'y': the shape of 'y', made by NonZero, is not known"):
        load(write(proto, tmp_path))


def test_shapes_that_do_not_fit_name_the_op(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "y")]
    with pytest.raises(ModelError, match="MatMul"):
        load(write(model(nodes, [info("x", [2, 3])], ["y"], {"w": floats(4, 5)}), tmp_path))


# --- weights ---


def test_initializers_among_the_inputs_are_weights(tmp_path: Path) -> None:
    inputs = [info("w", [4, 2]), info("x", [3, 4]), info("unused", [7])]
    path = write(model([node("MatMul", "x w", "y")], inputs, ["y"], {"w": floats(4, 2)}, opset=8), tmp_path)
    graph = load(path)
    assert graph.inputs == ("x",)
    assert graph.ops[0].inputs == ("x",)
    assert graph.ops[0].weights == ("w",)
    assert graph.ops[0].macs == 3 * 4 * 2


def external(tmp_path: Path) -> Path:
    proto = model([node("MatMul", "x w", "y")], [info("x", [3, 64])], ["y"], {"w": floats(64, 32)})
    path = tmp_path / "external.onnx"
    external_data_helper.convert_model_to_external_data(proto, location="data/w.bin", size_threshold=0)
    (tmp_path / "data").mkdir()
    onnx.save(proto, path)
    return path


def test_external_data_is_mapped(tmp_path: Path) -> None:
    path = external(tmp_path)
    graph = load(path)
    tensor = graph.model.graph.initializers["w"].const_value
    assert type(tensor).__name__ == "ExternalTensor"
    np.testing.assert_array_equal(array(graph, "w"), floats(64, 32))
    same_as_file(graph, path, tmp_path, {"x": floats(3, 64)})
    before = graph.sha256
    (tmp_path / "data" / "w.bin").write_bytes(floats(64, 32, seed=1).tobytes() + b"more")
    assert load(path).sha256 != before


def test_external_data_of_a_constant(tmp_path: Path) -> None:
    proto = model([node("Constant", "", "w"), node("MatMul", "x w", "y")], [info("x", [3, 64])], ["y"])
    proto.graph.node[0].attribute.append(helper.make_attribute("value", numpy_helper.from_array(floats(64, 32))))
    path = tmp_path / "constant.onnx"
    external_data_helper.convert_model_to_external_data(
        proto, location="w.bin", size_threshold=0, convert_attribute=True
    )
    onnx.save(proto, path)
    assert (tmp_path / "w.bin").stat().st_size == 8192
    np.testing.assert_array_equal(array(load(path), "w"), floats(64, 32))


def test_external_data_may_be_a_link(tmp_path: Path) -> None:
    path = external(tmp_path)
    data = tmp_path / "data" / "w.bin"
    elsewhere = tmp_path.parent / f"{tmp_path.name}.blob"
    data.rename(elsewhere)
    data.symlink_to(elsewhere)
    np.testing.assert_array_equal(array(load(path), "w"), floats(64, 32))


def test_missing_or_short_external_data_is_named(tmp_path: Path) -> None:
    path = external(tmp_path)
    data = tmp_path / "data" / "w.bin"
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(ModelError, match=r"'data/w.bin' ends before weight 'w' does \(needed 8192 bytes, had 8191"):
        load(path)
    data.unlink()
    with pytest.raises(ModelError, match=r"the external data file 'data/w.bin' of weight 'w' is missing"):
        load(path)


def test_external_data_stays_in_its_folder(tmp_path: Path) -> None:
    path = external(tmp_path)
    proto = onnx.load(path, load_external_data=False)
    for entry in proto.graph.initializer[0].external_data:
        if entry.key == "location":
            entry.value = "../secret"
    with pytest.raises(ModelError, match="outside the model's folder"):
        load(write(proto, tmp_path))


def test_constants_large_and_small(tmp_path: Path) -> None:
    """A large transposed weight becomes a recipe, a small sum a number; answers stay."""
    nodes = [
        node("ConstantOfShape", "target", "ones", value=helper.make_tensor("", TensorProto.FLOAT, [1], [0.5])),
        node("Constant", "", "two", value_float=2.0),
        node("Mul", "ones two", "filled"),
        node("Transpose", "w", "wt", perm=[1, 0]),
        node("MatMul", "x wt", "y"),
        node("Add", "y filled", "z"),
    ]
    weights = {"target": np.array([600]), "w": floats(600, 700)}
    path = write(model(nodes, [info("x", [2, 700])], ["z"], weights), tmp_path)
    graph = load(path)
    assert [op.kind for op in graph.ops] == ["MatMul", "Add"]
    assert graph.weights["wt"].shape == (700, 600)
    assert type(graph.model.graph.initializers["wt"].const_value).__name__ == "LazyTensor"
    np.testing.assert_array_equal(array(graph, "wt"), weights["w"].T)
    np.testing.assert_array_equal(array(graph, "filled"), np.ones(600, np.float32))
    same_as_file(graph, path, tmp_path, {"x": floats(2, 700)})


def test_packed_weights_stay_packed_and_near_their_reader(tmp_path: Path) -> None:
    nodes = [
        node("DequantizeLinear", "q scale", "w"),
        node("Relu", "x", "a"),
        node("Relu", "a", "b"),
        node("MatMul", "b w", "y"),
    ]
    weights = {"q": np.arange(16, dtype=np.int8).reshape(4, 4), "scale": np.float32(0.1)}
    path = write(model(nodes, [info("x", [1, 4])], ["y"], {k: np.asarray(v) for k, v in weights.items()}), tmp_path)
    graph = load(path)
    assert [op.kind for op in graph.ops] == ["Relu", "Relu", "DequantizeLinear", "MatMul"]
    assert graph.weights["q"].bytes == 16
    same_as_file(graph, path, tmp_path, {"x": floats(1, 4)})


# --- structure ---


def test_several_inputs_outputs_and_branches(tmp_path: Path) -> None:
    nodes = [
        node("Identity", "a", "same"),
        node("Add", "same b", "sum"),
        node("Split", "sum", "left right", axis=1),
        node("Relu", "left", "out1"),
        node("Dropout", "right", "dropped"),
        node("Sigmoid", "dropped", "out2"),
        node("Identity", "sum", "out3"),
    ]
    path = write(model(nodes, [info("a", [2, 4]), info("b", [2, 4])], ["out1", "out2", "out3"], opset=13), tmp_path)
    graph = load(path)
    assert graph.inputs == ("a", "b")
    assert graph.outputs == ("out1", "out2", "out3")
    assert [op.kind for op in graph.ops] == ["Add", "Split", "Relu", "Sigmoid", "Identity"]
    assert graph.ops[1].outputs == ("left", "right")
    assert graph.consumers["sum"] == (1, 4)
    same_as_file(graph, path, tmp_path, {"a": floats(2, 4), "b": floats(2, 4, seed=1)})


def test_dropout_whose_mask_is_read_stays(tmp_path: Path) -> None:
    nodes = [node("Dropout", "x", "y mask"), node("Cast", "mask", "z", to=TensorProto.FLOAT)]
    graph = load(write(model(nodes, [info("x", [4])], ["y", "z"], opset=12), tmp_path))
    assert [op.kind for op in graph.ops] == ["Dropout", "Cast"]
    assert graph.ops[0].outputs == ("y", "mask")


def test_an_output_nobody_reads_is_none(tmp_path: Path) -> None:
    nodes = [node("Split", "x", "left right", axis=0), node("Relu", "right", "y"), node("Relu", "x", "dead")]
    graph = load(write(model(nodes, [info("x", [4])], ["y"], opset=11), tmp_path))
    assert [(op.name, op.outputs) for op in graph.ops] == [("right", ("right",)), ("y", ("y",))]
    assert set(graph.tensors) == {"x", "right", "y"}


def test_outputs_that_are_inputs_or_weights(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "y")], [info("x", [4])], ["y", "x", "w"], {"w": floats(4)})
    graph = load(write(proto, tmp_path))
    assert graph.outputs == ("y", "x", "w")
    assert [(op.kind, op.name, op.inputs) for op in graph.ops] == [
        ("Relu", "y", ("x",)),
        ("Identity", "w", ()),
    ]


def test_ops_out_of_order_are_sorted(tmp_path: Path) -> None:
    nodes = [node("Relu", "b", "c"), node("Neg", "a", "b"), node("Abs", "x", "a")]
    graph = load(write(model(nodes, [info("x", [4])], ["c"]), tmp_path))
    assert [op.kind for op in graph.ops] == ["Abs", "Neg", "Relu"]


def test_functions_are_inlined(tmp_path: Path) -> None:
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("mine", 1)]
    body = [node("Relu", "a", "t"), node("Neg", "t", "b")]
    function = helper.make_function("mine", "NegRelu", ["a"], ["b"], body, opsets[:1])
    proto = model([], [info("x", [4])], ["y"])
    proto.graph.node.append(helper.make_node("NegRelu", ["x"], ["y"], domain="mine"))
    proto.functions.append(function)
    proto.opset_import.append(opsets[1])
    assert [op.kind for op in load(write(proto, tmp_path)).ops] == ["Relu", "Neg"]


def test_optional_inputs_left_out(tmp_path: Path) -> None:
    nodes = [node("Clip", "x - high", "y"), node("Resize", "y - scales", "z", mode="nearest")]
    weights = {"high": np.asarray(np.float32(1)), "scales": np.array([1, 1, 2, 2], np.float32)}
    path = write(model(nodes, [info("x", [1, 1, 2, 2])], ["z"], weights), tmp_path)
    graph = load(path)
    assert graph.tensors["z"].shape == (1, 1, 4, 4)
    same_as_file(graph, path, tmp_path, {"x": floats(1, 1, 2, 2)})


# --- what cannot be loaded ---


def test_operators_we_cannot_know(tmp_path: Path) -> None:
    custom = model([], [info("x", [4])], ["y"])
    custom.graph.node.append(helper.make_node("Magic", ["x"], ["y"], domain="their.own"))
    with pytest.raises(ModelError, match=r"op 'y': unknown operator their.own.Magic"):
        load(write(custom, tmp_path))
    unknown = model([node("Reluu", "x", "y")], [info("x", [4])], ["y"])
    with pytest.raises(ModelError, match=r"op 'y': unknown operator Reluu \(opset 17\)"):
        load(write(unknown, tmp_path))
    branch = helper.make_graph([node("Relu", "x", "t")], "branch", [], [info("t", [4])])
    choice = [node("If", "c", "y", then_branch=branch, else_branch=branch)]
    inputs = [info("x", [4]), info("c", [], TensorProto.BOOL)]
    with pytest.raises(ModelError, match=r"op 'y': If decides while running"):
        load(write(model(choice, inputs, ["y"]), tmp_path))


def squeeze_if() -> onnx.ModelProto:
    """As torch exports squeeze: drops the axis if its size is one, in two Ifs whose branches share names."""
    drop = helper.make_graph([node("Squeeze", "x axes", "t")], "drop", [], [info("t", None)], [])
    keep = helper.make_graph([node("Identity", "x", "t")], "keep", [], [info("t", None)], [])
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape axes", "size"),
        node("Equal", "size one", "is_one"),
        node("If", "is_one", "y", then_branch=drop, else_branch=keep),
        node("If", "is_one", "other", then_branch=drop, else_branch=keep),
        node("Relu", "other", "z"),
    ]
    weights = {"axes": np.array([1]), "one": np.array([1])}
    return model(nodes, [info("x", [3, "n"])], ["y", "z"], weights)


@pytest.mark.parametrize(("rank_one", "shape"), [(True, (3,)), (False, (3, 2))])
def test_branches_known_at_load_are_taken(tmp_path: Path, rank_one: bool, shape: tuple[int, ...]) -> None:
    path = write(squeeze_if(), tmp_path)
    graph = load(path, sizes={"n": 1 if rank_one else 2})
    assert not {"If", "Shape", "Equal"} & {op.kind for op in graph.ops}
    assert graph.outputs == ("y", "z")
    assert graph.tensors["y"].shape == graph.tensors["z"].shape == shape
    same_as_file(graph, path, tmp_path, {"x": floats(3, 1 if rank_one else 2)})


@pytest.mark.parametrize("opset", [6, 1000])
def test_opsets_we_cannot_read(tmp_path: Path, opset: int) -> None:
    with pytest.raises(ModelError, match=f"needed opset 7 to .*, had opset {opset}"):
        load(write(model([node("Relu", "x", "y")], [info("x", [4])], ["y"], opset=opset), tmp_path))


def test_sequences_do_not_travel(tmp_path: Path) -> None:
    sequence = helper.make_tensor_sequence_value_info("x", TensorProto.FLOAT, [4])
    proto = model([node("ConcatFromSequence", "x", "y", axis=0)], [sequence], ["y"])
    with pytest.raises(ModelError, match="input 'x': it is of a kind that cannot travel"):
        load(write(proto, tmp_path))


def test_text_does_not_travel(tmp_path: Path) -> None:
    proto = model([node("Identity", "x", "y")], [info("x", [4], TensorProto.STRING)], ["y"], y=TensorProto.STRING)
    with pytest.raises(ModelError, match="tensor 'x' is of a kind that cannot travel"):
        load(write(proto, tmp_path))


@pytest.mark.parametrize(
    "nodes",
    [
        [node("Relu", "nowhere", "y")],
        [node("Relu", "x", "a")],
        [node("Relu", "x", "y"), node("Abs", "x", "y")],
        [node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")],
        [node("Relu", "x", "y", nonsense=3)],
        [node("Constant", "", "w"), node("Add", "x w", "y")],
        [node("Identity", "", "w"), node("Add", "x w", "y")],
    ],
    ids=["reads nothing", "no output", "made twice", "circle", "attribute", "constant of what", "too few inputs"],
)
def test_broken_graphs(tmp_path: Path, nodes: list[onnx.NodeProto]) -> None:
    with pytest.raises(ModelError, match=r"small\.onnx"):
        load(write(model(nodes, [info("x", [4])], ["y"]), tmp_path))


def test_files_that_are_no_model(tmp_path: Path) -> None:
    whole = light("squeezenet").read_bytes()
    for index, data in enumerate([b"", b"hello, world", whole[: len(whole) // 2], whole[:-1], b"\0" * 100]):
        path = tmp_path / f"{index}.onnx"
        path.write_bytes(data)
        with pytest.raises(ModelError, match=f"{index}.onnx"):
            load(path)
    with pytest.raises(ModelError, match="cannot read"):
        load(tmp_path / "missing.onnx")
    with pytest.raises(ModelError, match="cannot read"):
        load(tmp_path)


def test_damage_never_escapes(tmp_path: Path) -> None:
    """Whatever bytes are changed, the file loads or is refused; nothing else is raised."""
    proto = dynamic()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        data = bytearray(proto.SerializeToString())
        for place in random.integers(0, len(data), random.integers(1, 5)):
            data[place] = random.integers(0, 256)
        path = tmp_path / "damaged.onnx"
        path.write_bytes(data)
        try:
            load(path, sizes={"n": 2, "h": 4, "w": 5})
        except ModelError:
            refused += 1
    assert refused > 50


def test_inline_data_cut_short(tmp_path: Path) -> None:
    proto = model([node("MatMul", "x w", "y")], [info("x", [3, 4])], ["y"], {"w": floats(4, 5)})
    proto.graph.initializer[0].raw_data = proto.graph.initializer[0].raw_data[:-4]
    with pytest.raises(ModelError, match=r"weight 'w' is not whole \(needed 80 bytes, had 76 bytes\)"):
        load(write(proto, tmp_path))


def test_inline_numbers_cut_short_or_of_no_type(tmp_path: Path) -> None:
    proto = model([node("MatMul", "x w", "y")], [info("x", [3, 4])], ["y"])
    proto.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [4, 2], range(8)))
    assert load(write(proto, tmp_path)).weights["w"].shape == (4, 2)
    del proto.graph.initializer[0].float_data[-1]
    with pytest.raises(ModelError, match="weight 'w' is not whole"):
        load(write(proto, tmp_path))
    proto.graph.initializer[0].data_type = 98
    with pytest.raises(ModelError, match="98 is not a valid DataType"):
        load(write(proto, tmp_path))
