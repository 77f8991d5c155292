"""Groups of ops on a chip: limits, bytes, units, and the same tensors."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.errors import InputError, LimitError
from shoal.graph import Graph, boundary, load
from shoal.plan.fusion import Fabric, _Stages, fused, shared_units, unfused
from shoal.study._sn40l_fusion import run_groups
from shoal.study._sn40l_graphs import SMALL, decoder, fourier
from tests.graph.divided import small
from tests.graph.graphs import random_graphs
from tests.graph.models import floats, light, node
from tests.plan.toys import random_chain

CHIP = Fabric(64, 1e12, 1 << 20, 1e10, 1e-6)


def check(graph: Graph, chip: Fabric) -> None:
    found, apart = fused(graph, chip), unfused(graph, chip)
    assert [name for each in found.groups for name in each.ops] == [op.name for op in graph.ops]
    for each in found.groups:
        assert each.sram_bytes <= chip.sram_bytes
        assert sum(each.units) <= chip.units
        assert min(each.units) >= 1
    assert found.moved_bytes <= apart.moved_bytes
    assert found.seconds <= apart.seconds * (1 + 1e-9)


@settings(max_examples=30, deadline=None)
@given(random_graphs(), st.integers(1, 70), st.integers(0, 6))
def test_limits_are_kept_and_bytes_never_rise(graph: Graph, units: int, doublings: int) -> None:
    chip = replace(CHIP, units=units, sram_bytes=1 << 16)
    least = max(each.sram_bytes for each in fused(graph, replace(chip, units=1, sram_bytes=1 << 40)).groups)
    check(graph, replace(chip, sram_bytes=max(1, least) << doublings))


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet"])
@pytest.mark.parametrize("sram_bytes", [4 << 20, 64 << 20])
def test_light_models(name: str, sram_bytes: int) -> None:
    check(load(light(name)), replace(CHIP, sram_bytes=sram_bytes))


def test_bytes_of_a_group_are_those_that_cross_it(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 3)
    (group,) = fused(graph, replace(CHIP, sram_bytes=1 << 40, launch_s=1.0)).groups
    read, given_ = boundary(graph, group.ops)
    assert group.moved_bytes == graph.weights_bytes + sum(graph.tensors[name].bytes for name in (*read, *given_))
    assert len(group.ops) == len(graph.ops)


def test_no_division_of_a_short_chain_moves_less_where_all_fits_in_two(tmp_path: Path) -> None:
    """Growth against all divisions into runs that fit: never more than the worst, and how far from the best."""
    graph = random_chain(tmp_path, 5)
    whole = replace(CHIP, launch_s=1.0)
    chip = replace(whole, sram_bytes=max(1, fused(graph, whole).groups[0].sram_bytes * 2 // 3))
    found, count = fused(graph, chip), len(graph.ops)
    best = min(
        sum(_moved(graph, first, end) for first, end in zip((0, *cuts), (*cuts, count), strict=True))
        for cuts in combinations(range(1, count), len(found.groups) - 1)
    )
    assert best <= found.moved_bytes <= 2 * best


def _moved(graph: Graph, first: int, end: int) -> int:
    ops = graph.ops[first:end]
    read, given_ = boundary(graph, [op.name for op in ops])
    return sum(graph.tensors[name].bytes for name in (*read, *given_)) + sum(op.weights_bytes for op in ops)


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=20), st.integers(20, 400))
def test_units_follow_work_and_nobody_gains_by_one_more(work: list[int], units: int) -> None:
    found = shared_units(work, units)
    assert sum(found) == units
    assert min(found) >= 1
    slowest = max(each / count for each, count in zip(work, found, strict=True))
    for giver in range(len(work)):
        if found[giver] > 1:  # without one of its units it would be no quicker than the slowest is with its own
            assert work[giver] / (found[giver] - 1) >= slowest * (1 - 2 / found[giver]) * (1 - 1e-9)


def test_groups_one_by_one_give_the_same_tensors(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    sizes = ((2, 8, 8, 24 << 10), (1, 1, 9, 12 << 10))  # batch, tokens, seen; bytes on the chip
    for *shape, sram_bytes in sizes:
        graph = decoder(SMALL, *shape, tmp_path, half=False)
        given_ = {name: rng.standard_normal(graph.tensors[name].shape).astype(np.float32) for name in graph.given}
        groups = fused(graph, replace(CHIP, sram_bytes=sram_bytes)).groups
        assert len(groups) > 1
        found = run_groups(graph, [each.ops for each in groups], given_, tmp_path)
        alone = run_groups(graph, [(op.name,) for op in graph.ops], given_, tmp_path)
        for name in graph.outputs:
            np.testing.assert_allclose(found[name], alone[name], rtol=1e-6)


def test_the_fourier_convolution_is_one(tmp_path: Path) -> None:
    side, rng = 8, np.random.default_rng(0)
    graph = fourier(2, 3, side, tmp_path, half=False)
    x, kernel = rng.standard_normal((2, 3, side**2)), rng.standard_normal((3, side**2))
    spectrum = np.fft.fft(kernel).reshape(3, side, side)
    laid = x.reshape(2, 3, side, side).swapaxes(-1, -2)
    given_ = {"x": laid, "re": spectrum.real, "im": spectrum.imag}
    arrays = {name: np.ascontiguousarray(each, np.float32) for name, each in given_.items()}
    found = run_groups(graph, [tuple(op.name for op in graph.ops)], arrays, tmp_path)[graph.outputs[0]]
    wanted = np.fft.ifft(np.fft.fft(x) * np.fft.fft(kernel)).real.reshape(2, 3, side, side).swapaxes(-1, -2)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    graph = random_chain(tmp_path, 1)
    with pytest.raises(LimitError, match="it must be tiled") as found:
        fused(graph, replace(CHIP, sram_bytes=64))
    assert found.value.where in graph.position
    with pytest.raises(LimitError, match="more stages than compute units"):
        shared_units([1, 1, 1], 2)
    with pytest.raises(InputError, match="above zero"):
        replace(CHIP, units=0)


def test_a_view_costs_nothing_and_what_is_read_through_it_goes_out_once(tmp_path: Path) -> None:
    nodes = [
        node("Relu", "x", "a"),
        node("Reshape", "a shape", "b"),
        node("Relu", "b", "c"),
        node("Add", "b c", "y"),
    ]
    graph = small(tmp_path, nodes, {"x": [1, 4, 8]}, "y", {"shape": np.array([1, 32])})
    one = graph.tensors["a"].bytes
    apart = unfused(graph, CHIP)
    assert [each.moved_bytes for each in apart.groups] == [2 * one, 0, 2 * one, 3 * one]
    assert apart.groups[1].seconds == 0.0
    (whole,) = fused(graph, CHIP).groups
    assert whole.moved_bytes == 2 * one
    stages = _Stages(graph, CHIP)
    assert stages.group(1, 2).moved_bytes == 0
    assert stages.group(1, 2).seconds == 0.0
    assert stages.group(0, 2).moved_bytes == 2 * one  # its values, by either name
    assert stages.group(2, 4).moved_bytes == 2 * one


def test_groups_that_the_chip_launches_wait_for_software_once(tmp_path: Path) -> None:
    graph, chip = random_chain(tmp_path, 4), replace(CHIP, launch_s=1e-3, sram_bytes=1 << 40)
    apart = sum(_Stages(graph, chip).group(at, at + 1).seconds for at in range(len(graph.ops)))
    by_itself = replace(chip, orchestrated=True)
    within = sum(_Stages(graph, by_itself).group(at, at + 1).seconds for at in range(len(graph.ops)))
    assert apart - within == pytest.approx(1e-3 * len(graph.ops))
    assert fused(graph, by_itself).seconds == pytest.approx(
        1e-3 + sum(each.seconds for each in fused(graph, by_itself).groups)
    )


def test_what_is_held_needs_room_and_its_readers_wait_for_all_of_it(tmp_path: Path) -> None:
    """A mean over all of what a convolution makes: the convolution's whole time comes before the rest."""
    conv = {"pads": [1, 1, 1, 1]}
    straight = [node("Conv", "x w", "a", **conv), node("Conv", "a w", "y", **conv)]
    gated = [
        straight[0],
        node("GlobalAveragePool", "a", "m"),
        node("Mul", "a m", "g"),
        node("Conv", "g w", "y", **conv),
    ]
    weights, shapes = {"w": floats(8, 8, 3, 3)}, {"x": [1, 8, 64, 64]}
    chip = replace(CHIP, sram_bytes=1 << 40, launch_s=0.0, bytes_per_s=1e15)
    passing, holding = (_Stages(small(tmp_path, nodes, shapes, "y", weights), chip) for nodes in (straight, gated))
    whole = 8 * 64 * 64 * 4
    assert passing.group(0, 2).buffer_bytes < whole
    assert holding.group(0, 4).buffer_bytes > whole
    assert holding.group(0, 4).seconds > 1.5 * passing.group(0, 2).seconds


def test_a_pipelines_time_by_hand(tmp_path: Path) -> None:
    """Two stages of as much work, each with half of the units: as long as both by themselves, and one tile more."""
    nodes = [node("Conv", "x w", "a", pads=[1, 1, 1, 1]), node("Conv", "a w", "y", pads=[1, 1, 1, 1])]
    graph = small(tmp_path, nodes, {"x": [1, 8, 64, 64]}, "y", {"w": floats(8, 8, 3, 3)})
    chip = replace(CHIP, sram_bytes=1 << 40, launch_s=0.0, bytes_per_s=1e15)
    work = 2 * 2 * 8 * 64 * 64 * 8 * 9
    assert _Stages(graph, chip).group(0, 2).seconds == pytest.approx(work / chip.flop_per_s * (1 + 1 / 64))


def test_a_part_of_a_tensor_is_read_where_it_lies(tmp_path: Path) -> None:
    nodes = [
        node("Relu", "x", "a"), node("Slice", "a zero four axis", "b"), node("Neg", "b", "c"),
        node("Slice", "a four eight axis", "d"), node("Add", "c d", "y"),
    ]  # fmt: skip
    bounds = {name: np.array([at]) for name, at in (("zero", 0), ("four", 4), ("eight", 8), ("axis", 2))}
    graph = small(tmp_path, nodes, {"x": [1, 4, 8]}, "y", bounds)
    half = graph.tensors["b"].bytes
    assert [each.moved_bytes for each in unfused(graph, CHIP).groups if each.moved_bytes] == [
        4 * half,
        2 * half,
        3 * half,
    ]
    stages = _Stages(graph, CHIP)
    assert stages.group(1, 3).moved_bytes == 2 * half
    assert stages.group(1, 5).moved_bytes == 3 * half  # both halves, and what is given
    assert stages.group(0, 5).moved_bytes == 3 * half
