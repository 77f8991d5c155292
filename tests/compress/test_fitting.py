"""What is refused before a layer is coded, and in which words: what, where, needed, had, the nearest possible."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

from shoal.compress import choices, compress, opened
from shoal.compress.techniques.gptq import Gptq
from shoal.compress.techniques.rtn import Rtn
from shoal.compress.techniques.smoothquant import Smoothquant
from shoal.errors import InputError
from shoal.graph import Graph
from tests.compress import nets
from tests.graph.models import write


def spoilt(folder: Path, value: float) -> Graph:
    """A network with two such weights in its second layer."""
    proto = nets.mlp()
    (weight,) = (each for each in proto.graph.initializer if each.name == "w1")
    matrix = numpy_helper.to_array(weight).copy()
    matrix[7, 3] = matrix[9, 5] = value  # (columns, rows)
    weight.CopyFrom(numpy_helper.from_array(matrix, "w1"))
    return opened(write(proto, folder))


@pytest.mark.parametrize(("value", "word"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_weights_that_are_no_numbers(value: float, word: str, tmp_path: Path) -> None:
    graph, given = spoilt(tmp_path, value), nets.samples(nets.mlp())
    said = (
        rf"m1: weights that are not finite \(needed numbers, had 2 of 4096, the first {word} in row 3, column 7\)"
    )
    for chain, samples in (([Rtn("int8")], ()), ([Gptq("int4g32")], given), ([Smoothquant(), Rtn("int8")], given)):
        with pytest.raises(InputError, match=said) as caught:
            compress(graph, chain, samples)
        assert caught.value.hint == "mend the model, or --skip m1"
    with pytest.raises(InputError, match=said):
        choices(graph, (), ("int4g32",), sensitivity="qsnr")
    with pytest.raises(InputError, match="m2: an activation of the calibration samples is not finite"):
        compress(graph, [Gptq("int4g32")], given, skip=["m1"])  # it stays, and what follows sees it
    assert [each.op for each in compress(graph, [Rtn("int8")], skip=["m1"]).layers] == ["m0", "m2"]


def test_groups_that_do_not_divide(tmp_path: Path) -> None:
    """Before any work, with the nearest that would do; also where one layer alone has the format."""
    graph = opened(write(nets.mlp(), tmp_path))
    said = r"m0: groups of 48 do not divide 64 columns \(had int4g48\)"
    with pytest.raises(InputError, match=said) as caught:
        compress(graph, [Rtn("int4g48")])
    assert caught.value.hint == "the nearest that do: 32; or --skip m0"
    with pytest.raises(InputError, match="m2: groups of 7 do not divide 64 columns"):
        compress(graph, [Rtn("int8")], formats={"m2": "int4g7"})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("int9", "no number format is called 'int9'"),
        ("int1", "no number format is called 'int1'"),
        ("integer:bits=12", r"needed 2 to 8, had 12"),
        ("hlq5g64", "no number format is called 'hlq5g64'|needed 1 to 4"),
        ("planes:bits=0,group=64", "needed 1 to 4, had 0"),
        ("e9m9", "no number format is called|needed"),
    ],
)
def test_bits_out_of_range(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        compress(opened(write(nets.mlp(), tmp_path)), [Rtn(name)])


def test_too_few_samples(tmp_path: Path) -> None:
    """One place says nothing of how columns go together; fewer than there are columns is told."""
    proto = nets.mlp()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    for each in (*proto.graph.output, *proto.graph.value_info):
        each.type.tensor_type.ClearField("shape")
    graph, given = opened(write(proto, tmp_path)), nets.samples(proto, 4)
    said = r"m0: the calibration set is too small \(needed 2 places at least, had 1\)"
    with pytest.raises(InputError, match=said) as caught:
        compress(graph, [Gptq("int4g32")], given[:1])
    assert caught.value.hint == "more samples, or --with rtn, which needs none"
    assert compress(graph, [Rtn("int4g32")], given[:1]).layers[0].note == ""
    assert "seen at 4 places, 64 columns" in compress(graph, [Gptq("int4g32")], given).layers[0].note


def test_samples_of_the_wrong_shape(tmp_path: Path) -> None:
    graph = opened(write(nets.mlp(), tmp_path))
    for sample, had in (
        ({"x": np.zeros((3, 32), np.float32)}, r"float32 \[3, 32\]"),
        ({"x": np.zeros((3, 64), np.float64)}, r"float64 \[3, 64\]"),
        ({"y": np.zeros((3, 64), np.float32)}, "none"),
    ):
        with pytest.raises(
            InputError, match=rf"does not fit the input 'x' \(needed float32 \[3, 64\], had {had}\)"
        ):
            compress(graph, [Gptq("int4g32")], [sample])
    with pytest.raises(InputError, match="a sample's 'x' is not finite"):
        compress(graph, [Gptq("int4g32")], [{"x": np.full((3, 64), np.nan, np.float32)}])
    with pytest.raises(InputError, match=r"gptq looks at activations .*needed calibration samples"):
        compress(graph, [Gptq("int4g32")])
