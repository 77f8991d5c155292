"""A tile engine: a product counted by hand, bytes of main memory, widths, fusion, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shoal.errors import InputError, ModelError
from shoal.graph import Graph, load
from shoal.machines import energy
from shoal.machines.tiles import Group, TileEngine, Widths, Work, groups_of, works_of
from shoal.study._quartdepth_bytes import tensors_bytes
from tests.graph.models import floats, info, model, node, write

ENGINE = TileEngine(rows=4, inner=4, places=4, lanes=8, clock_hz=1e6, dram_bytes_per_s=1e9)
W8A8, W4A8, W4A4, FP16 = Widths(8, 8), Widths(4, 8), Widths(4, 4), Widths(16, 16, floating=True)
PRODUCT = Work("y", "MatMul", {"x": 80}, {"y": 50}, weights=40, rows=5, inner=8, places=10)


def net(folder: Path) -> Graph:
    """A residual block and a head."""
    weights = {"w1": floats(8, 3, 3, 3), "b1": floats(8), "w2": floats(8, 8, 3, 3), "w3": floats(4, 8, 1, 1)}
    nodes = [
        node("Conv", "x w1 b1", "c1", pads=[1, 1, 1, 1]), node("Relu", "c1", "r1"),
        node("Conv", "r1 w2", "c2", pads=[1, 1, 1, 1]), node("Add", "c2 r1", "s"), node("Relu", "s", "r2"),
        node("Conv", "r2 w3", "y"),
    ]  # fmt: skip
    return load(write(model(nodes, [info("x", (1, 3, 8, 8))], ["y"], weights, 17), folder))


def test_a_product_by_hand() -> None:
    """5 rows, 8 columns, 10 places in tiles of 4: 2·2·3 tiles; of four bits two a cycle, of eight half of one."""
    groups = [Group((PRODUCT,))]
    assert ENGINE.run(groups, W4A4).cycles == 6
    assert ENGINE.run(groups, W4A8).cycles == 12
    assert ENGINE.run(groups, W8A8).cycles == 24
    assert ENGINE.run(groups, FP16).cycles == 48
    (told,) = ENGINE.compiled(groups, W4A8)
    assert [(each.unit, each.bytes) for each in told] == [("LOAD", 20), ("LOAD", 80), ("GEMM", 0), ("STORE", 50)]
    ran = ENGINE.run(groups, W4A8)
    assert ran.counts["mac"] == 400
    assert ran.counts["dram"] == ran.dram_bytes == 150
    operands = 40 * 0.5 * 3 + 8 * 10 * 2
    assert ran.counts["sram"] == 150 + operands + 50
    assert ran.energy_j["mac"] == pytest.approx(400 * energy("tile engine", "int 4×8", 8, 28).energy_j)
    assert ran.joules == pytest.approx(sum(ran.energy_j.values()))
    assert ran.watts == pytest.approx(ran.joules / 12e-6)


def test_memory_decides_where_it_is_slow() -> None:
    slow = replace(ENGINE, dram_bytes_per_s=1e6)
    assert slow.run([Group((PRODUCT,))], W4A8).cycles == 150


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("widths", [W8A8, W4A8, W4A4, FP16])
def test_main_memory_moves_the_tensors(fused: bool, widths: Widths, tmp_path: Path) -> None:
    graph = net(tmp_path)
    assert TileEngine().run(groups_of(graph, fused), widths).dram_bytes == tensors_bytes(graph, widths, fused)


def test_bytes_counted_by_hand(tmp_path: Path) -> None:
    graph = net(tmp_path)
    weights = 8 * 27 + 8 * 4 + 8 * 72 + 4 * 8
    apart = (192 + 512) + (512 + 512) + (512 + 512) + (512 + 512 + 512) + (512 + 512) + (512 + 256)
    together = (192 + 512) + (512 + 512 + 512) + (512 + 256)
    assert tensors_bytes(graph, W8A8, fused=False) == weights + apart
    assert tensors_bytes(graph, W8A8, fused=True) == weights + together


def test_fused_groups_keep_what_is_read_twice(tmp_path: Path) -> None:
    groups = groups_of(net(tmp_path), fused=True)
    assert [[work.name for work in group.works] for group in groups] == [["c1", "r1"], ["c2", "s", "r2"], ["y"]]


def test_fewer_bits_and_fusion_are_faster_and_take_less(tmp_path: Path) -> None:
    graph, engine = net(tmp_path), TileEngine(dram_bytes_per_s=1e9)
    ran = {(w.name, fused): engine.run(groups_of(graph, fused), w) for w in (W8A8, W4A8, W4A4) for fused in (0, 1)}
    assert ran["W4A4", 1].seconds < ran["W4A8", 1].seconds < ran["W8A8", 1].seconds
    assert ran["W4A4", 1].seconds < ran["W4A4", 0].seconds
    assert ran["W4A4", 1].joules < ran["W4A4", 0].joules < ran["W8A8", 0].joules


def test_weights_beyond_their_buffer_make_inputs_come_again() -> None:
    small = replace(ENGINE, weights_buffer_bytes=16)
    loaded = [each.bytes for each in small.compiled([Group((PRODUCT,))], W8A8)[0] if each.unit == "LOAD"]
    assert loaded == [40, 3 * 80]


def test_what_the_engine_cannot_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no unit for W3A8") as fault:
        ENGINE.run([Group((PRODUCT,))], Widths(3, 8))
    assert "W4A4" in str(fault.value.needed)
    with pytest.raises(InputError, match="does not fit into the engine's input buffer"):
        replace(ENGINE, input_buffer_bytes=16).run([Group((PRODUCT,))], W8A8)
    odd = load(write(model([node("Softsign", "x", "y")], [info("x", (1, 4))], ["y"]), tmp_path, "odd.onnx"))
    with pytest.raises(ModelError, match="'Softsign' has no unit"):
        works_of(odd)
