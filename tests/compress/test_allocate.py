"""A format for each layer: the best for so many bits."""

from __future__ import annotations

import itertools
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from shoal.compress import Choice, allocate, compress, mixed, opened
from shoal.compress.techniques.gptq import Gptq
from shoal.errors import InputError, LimitError
from tests.compress import nets
from tests.graph.models import floats, info, model, node, write

FORMATS = ("int3g16", "int4", "int4g64", "int4g32", "int4g16", "int5g16", "int6", "int8")


@pytest.mark.parametrize("seed", range(5))
def test_the_programme_finds_the_best_of_all(seed: int) -> None:
    """Against every combination."""
    source = np.random.default_rng(seed)
    sizes = source.integers(1, 9, 6) * 100
    options = {
        f"op{number}": [
            Choice(f"b{bits}", float(source.uniform(0.5, 2) * 4.0**-bits), int(bits * size))
            for bits in (2, 3, 4, 8)
        ]
        for number, size in enumerate(sizes)
    }
    for limit in (2.0, 3.1, 4.5, 8.0):
        found = allocate(options, limit, int(sizes.sum()))
        chosen = {op: next(each for each in some if each.format == found[op]) for op, some in options.items()}
        assert sum(each.bits for each in chosen.values()) <= limit * sizes.sum() + 1e-6
        best = min(
            sum(each.loss for each in some)
            for some in itertools.product(*options.values())
            if sum(each.bits for each in some) <= limit * sizes.sum()
        )
        assert sum(each.loss for each in chosen.values()) == pytest.approx(best)


def test_mixed_formats_lose_less_than_uniform_ones_of_the_same_size(tmp_path: Path) -> None:
    """Small layers may have more bits at little cost; by the network's own answers."""
    widths = (64, 256, 256, 16, 16)
    weights = {
        f"w{number}": floats(before, after, seed=number) * (2 / before) ** 0.5
        for number, (before, after) in enumerate(pairwise(widths))
    }
    nodes = []
    for number in range(4):
        nodes += [node("MatMul", f"{f'a{number - 1}' if number else 'x'} w{number}", f"m{number}")]
        nodes += [node("Relu", f"m{number}", f"a{number}")]
    proto = model(nodes, [info("x", (3, 64))], ["a3"], weights, 21)
    graph = opened(write(proto, tmp_path))
    given = nets.samples(proto, 64)
    uniform = compress(graph, [Gptq("int4g16")], given)
    found = compress(graph, [Gptq("int4g16")], given, mixed(graph, given, FORMATS, uniform.bits_per_weight))
    assert found.bits_per_weight <= uniform.bits_per_weight + 1e-9
    assert all(int(each.format[3]) > 4 for each in found.layers[-2:])
    assert found.output_error["a3"] < uniform.output_error["a3"]


def test_what_cannot_be_allocated(tmp_path: Path) -> None:
    proto = nets.mlp()
    graph = opened(write(proto, tmp_path))
    given = nets.samples(proto, 2)
    with pytest.raises(LimitError, match=r"needed 2 bits a weight, had 3"):
        mixed(graph, given, ("int2g16", "int4g16"), 2)
    with pytest.raises(InputError, match="fits none of the formats"):
        mixed(graph, given, ("int2g48",), 4)
    with pytest.raises(InputError, match="no calibration samples"):
        mixed(graph, (), ("int2g16",), 4)
