from __future__ import annotations

from hypothesis import given

from shoal.graph import Cut, Graph, cuts, load
from tests.graph.graphs import graph, random_graphs
from tests.graph.models import light


def test_resnet_has_39_single_cuts_before_fusing() -> None:
    resnet = load(light("resnet50"))
    plain, fused = cuts(resnet, fused=False), cuts(resnet)
    assert len(plain) == 39
    assert set(fused) < set(plain)
    kinds = [(resnet.ops[cut.after].kind, resnet.ops[cut.after + 1].kind) for cut in fused]
    assert not {("Conv", "BatchNormalization"), ("BatchNormalization", "Relu"), ("Sum", "Relu")} & set(kinds)


def test_what_crosses() -> None:
    net = graph({"a": "x", "b": "a", "c": "a", "d": "b c", "e": "d y"}, "e b", sizes={"a": 5, "y": 7})
    assert cuts(net) == ()  # y is still to be read
    assert cuts(net, multi=True) == (
        Cut(0, ("y", "a"), 12),
        Cut(1, ("y", "a", "b"), 13),
        Cut(2, ("y", "b", "c"), 9),
        Cut(3, ("y", "d"), 8),
    )


def test_a_finished_output_does_not_cross() -> None:
    net = graph({"a": "x", "out": "a", "b": "a", "c": "b"}, "out c")
    assert [cut.tensors for cut in cuts(net)] == [("a",), ("a",), ("b",)]


def test_engines_keep_what_they_fuse() -> None:
    net = graph(
        {
            "conv": "x W",
            "bn": "conv S",
            "relu": "bn",
            "mm": "relu V",
            "bias": "mm B",
            "act": "bias",
            "pool": "act",
        },
        "pool",
        {
            "conv": "Conv",
            "bn": "BatchNormalization",
            "relu": "Relu",
            "mm": "MatMul",
            "bias": "Add",
            "act": "Clip",
        },
    )
    assert [cut.tensors for cut in cuts(net)] == [("relu",), ("act",)]
    assert len(cuts(net, fused=False)) == 6


def test_a_product_read_twice_may_be_cut() -> None:
    net = graph({"conv": "x W", "gate": "conv", "out": "conv gate"}, "out", {"conv": "Conv", "gate": "Sigmoid"})
    assert [cut.tensors for cut in cuts(net)] == [("conv",)]


@given(random_graphs())
def test_every_cut_is_what_later_ops_read(net: Graph) -> None:
    for cut in cuts(net, multi=True, fused=False):
        before, later = net.ops[: cut.after + 1], net.ops[cut.after + 1 :]
        there = {*net.inputs, *(name for op in before for name in op.outputs)}
        assert set(cut.tensors) == {name for op in later for name in op.inputs if name in there}
        assert cut.bytes == sum(net.tensors[name].bytes for name in cut.tensors)
