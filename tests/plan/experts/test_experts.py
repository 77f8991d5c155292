"""Placing experts: tokens counted one by one, every placement tried, optima that are known."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from shoal.errors import FleetError, InputError, LimitError
from shoal.fleet import loads
from shoal.plan.experts import (
    Combine,
    Curve,
    ExpertPlacement,
    ExpertShape,
    dependency,
    evaluated,
    expert_fleet,
    flows,
    parcels,
    placed,
    problem,
)
from tests.plan.experts.cases import EVEN, SHAPE, case, drawn, nodes, trace, unlike

COMBINES: tuple[Combine, ...] = ("home", "stay")


@pytest.mark.parametrize("combine", COMBINES)
def test_bytes_are_those_of_tokens_followed_one_by_one(combine: Combine) -> None:
    routes, hosts, source = drawn(1, experts=6), 3, np.random.default_rng(2)
    homes = source.integers(hosts, size=routes.tokens)
    places = source.integers(hosts, size=(routes.layers, routes.experts))
    wanted = np.zeros((routes.layers, 2, hosts, hosts))
    for token, home in zip(routes.chosen, homes, strict=True):
        at = home
        for layer, chosen in enumerate(token):
            there = places[layer, chosen]
            back = home if combine == "home" else there[0]
            for host in there:
                wanted[layer, 0, at, host] += SHAPE.token_bytes * (at != host)
                wanted[layer, 1, host, back] += SHAPE.token_bytes * (host != back)
            at = back
    found = evaluated(
        ExpertPlacement.of(places), flows(routes, hosts, homes=homes), unlike(0, hosts, 9), SHAPE, combine
    )
    np.testing.assert_array_equal(found.sent_bytes[0], wanted)


def test_a_token_goes_once_to_a_host_of_two_of_its_experts() -> None:
    routes = trace(np.array([[[0, 1]], [[0, 2]], [[3, 2]]]), 4)
    found = parcels(ExpertPlacement(((0, 0, 1, 1),)), routes, np.array([1, 0, 0]), 2)
    assert found.tokens.tolist() == [[[0, 2], [1, 0]]]
    assert found.copies.tolist() == [[[0, 3], [2, 0]]]


def test_copies_are_those_that_the_evaluator_counts() -> None:
    routes, hosts = drawn(5, experts=6), 3
    homes = np.arange(routes.tokens) % hosts
    placement = ExpertPlacement.of(np.random.default_rng(5).integers(hosts, size=(3, 6)))
    judged = evaluated(placement, flows(routes, hosts, homes=homes), unlike(0, hosts, 9), SHAPE)
    copies = parcels(placement, routes, homes, hosts).copies
    np.testing.assert_array_equal(judged.sent_bytes[0, :, 0], copies * SHAPE.token_bytes)


def test_a_step_waits_for_the_busiest_of_each_layer() -> None:
    """Two hosts, ten tokens of one layer: eight for expert 0."""
    routes = trace(np.array([[[0]]] * 8 + [[[1]]] * 2), 2)
    found = evaluated(ExpertPlacement(((0, 1),)), flows(routes, 2), nodes(1, 2, 2), SHAPE)
    assert found.compute_s == pytest.approx(8e-6)
    assert found.exchange_s == pytest.approx(2 * 4 * 100 / 1e9)  # half of the eight come from the other host
    assert found.crossing_bytes == pytest.approx(2 * 5 * 100)
    assert found.load == pytest.approx(8 / 5)


def test_steps_share_the_tokens() -> None:
    routes = drawn(4, tokens=100)
    several = flows(routes, 2, step_tokens=25)
    assert several.loads.shape[0] == 4
    np.testing.assert_array_equal(several.loads.sum(0), flows(routes, 2).loads[0])
    np.testing.assert_allclose(several.homes.sum(2), several.loads)


def test_few_tokens_take_as_long_as_one() -> None:
    curve = Curve.roofline(
        ExpertShape(1, 1000, 10.0), flop_per_s=1e9, bytes_per_s=1e8
    )  # read: 10 µs, a token 10 ns
    np.testing.assert_allclose(curve([0, 1, 500, 1000, 3000, 5000]), [0, 1e-5, 1e-5, 1e-5, 3e-5, 5e-5])
    with pytest.raises(InputError, match="seconds above 0 that do not fall"):
        Curve((1, 2), (2e-6, 1e-6))


@pytest.mark.parametrize("combine", COMBINES)
def test_the_programme_finds_the_least_of_all_placements(combine: Combine) -> None:
    pytest.importorskip("highspy")
    for seed in range(3):
        asked = case(seed, combine, slots=5)
        least = min(
            asked.mean.objective_s(places)
            for each in product(range(2), repeat=8)
            if max(np.bincount(each, minlength=2)) <= 5
            for places in [np.reshape(each, (2, 4))]
        )
        found = placed("joint", asked)
        assert found.objective_s == pytest.approx(least, rel=1e-6)
        assert found.gap == 0


@pytest.mark.parametrize("combine", COMBINES)
def test_a_broken_symmetry_loses_nothing(combine: Combine) -> None:
    pytest.importorskip("highspy")
    routes = drawn(7, layers=2)
    asked = problem(flows(routes, 4), nodes(2, 2, 3), SHAPE, combine)
    assert asked.fleet.orbits == (0, 0, 0, 0)
    least = min(
        asked.mean.objective_s(np.reshape(each, (2, 4)))
        for each in product(range(4), repeat=8)
        if each[0] == 0 and max(np.bincount(each, minlength=4)) <= 3  # any expert may be named first
    )
    assert placed("joint", asked).objective_s == pytest.approx(least, rel=1e-6)


def test_unlike_hosts_do_not_change_places() -> None:
    even = nodes(2, 2, 3)
    slower = replace(even.hosts[1], curve=Curve((1, 2), (3e-6, 6e-6)))
    assert replace(even, hosts=(even.hosts[0], slower, *even.hosts[2:])).orbits == (0, 1, 2, 2)
    assert unlike(0, 3, 4).orbits == (0, 1, 2)


def chain(layers: int = 3, tokens: int = 160) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Of eight experts four are busy (30) and four are not (10); pairs stay pairs from layer to layer."""
    first = np.repeat(np.arange(8), [30, 30, 30, 30, 10, 10, 10, 10])[:tokens]
    source, path = np.random.default_rng(0), [first]
    for _ in range(layers - 1):
        pairs, swapped = source.permutation(4), source.integers(2, size=4)
        renamed = np.empty(8, np.int64)
        for old, (new, change) in enumerate(zip(pairs, swapped, strict=True)):
            renamed[[old, old + 4]] = [new + 4 * change, new + 4 - 4 * change]
        path.append(renamed[path[-1]])
    return np.stack(path, 1)[..., None]


@pytest.mark.parametrize("name", ["ilp", "joint:time_limit_s=20"])
def test_an_optimum_that_is_known_is_found(name: str) -> None:
    """Each host 40 tokens of each layer; they cross a wire once, to the first layer: three quarters of 40."""
    pytest.importorskip("highspy")
    asked = problem(flows(trace(chain(), 8), 4), nodes(1, 4, 6), SHAPE, "stay")
    optimum_s = 3 * 40e-6 + 30 * SHAPE.token_bytes / 1e9
    assert placed("contiguous", asked).objective_s > 1.2 * optimum_s
    assert placed(name, asked).objective_s == pytest.approx(optimum_s, rel=1e-9)


@pytest.mark.parametrize("name", ["lpt", "ilp", "joint:time_limit_s=5"])
def test_a_host_three_times_slower_gets_a_third(name: str) -> None:
    pytest.importorskip("highspy")
    source = np.random.default_rng(1)
    routes = trace(source.integers(20, size=(2000, 1, 1)), 20)
    fleet = nodes(1, 4, 20)
    slow = replace(fleet.hosts[3], curve=Curve((1, 2), (3e-6, 6e-6)))
    asked = problem(flows(routes, 4), replace(fleet, hosts=(*fleet.hosts[:3], slow)), SHAPE)
    found = placed(name, asked).placement.array[0]
    given = np.bincount(found, routes.loads()[0], minlength=4)
    assert abs(given[3] - given[:3].mean() / 3) <= routes.loads().max()


def test_too_many_products_are_refused_or_gone_round() -> None:
    pytest.importorskip("highspy")
    asked = case(0, "stay")
    with pytest.raises(LimitError, match=r"too many products of unknowns \(needed \d+, had 10\)"):
        placed("joint:most_products=10", asked)
    assert "assigned layer by layer instead" in placed("ilp:most_products=1", asked).notes[0]
    assert placed("joint:most_products=0", case(0, "home")).gap == 0  # no products


def test_a_solver_out_of_time_gives_the_best_so_far_and_its_gap() -> None:
    pytest.importorskip("highspy")
    asked = problem(flows(drawn(0, experts=12, layers=4), 4), nodes(1, 4, 12), SHAPE, "stay")
    found = placed("joint:time_limit_s=0.05", asked)
    assert found.notes == ("stopped after 0.05 s",)
    assert found.gap is not None
    assert found.gap > 0
    assert found.objective_s <= placed("local", asked).objective_s


def test_what_cannot_be_is_refused() -> None:
    routes = drawn(0)
    with pytest.raises(
        LimitError, match=r"the fleet does not hold the experts \(needed 12 slots, had 8\)"
    ) as fault:
        problem(flows(routes, 4), nodes(1, 4, 2), SHAPE)
    assert fault.value.hint == "4 more, 3.91 KiB: fewer bits, or more hosts"
    with pytest.raises(InputError, match="homes of another fleet"):
        problem(flows(routes, 2), nodes(1, 4, 9), SHAPE)
    asked = problem(flows(routes, 4), nodes(1, 4, 9), SHAPE)
    with pytest.raises(
        InputError, match=r"routes of another model \(needed 3 layers of 4 experts, had 2 layers of 4 e"
    ):
        asked.evaluated(placed("contiguous", asked).placement, flows(drawn(0, layers=2), 4))
    with pytest.raises(InputError, match="each token has a home"):
        flows(routes, 4, homes=np.full(routes.tokens, 4))


def test_dependent_layers_are_told_from_independent_ones() -> None:
    source = np.random.default_rng(0)
    apart = source.integers(8, size=(3000, 3, 1))
    assert not any(each.found for each in dependency(trace(apart, 8)))
    (one, other) = dependency(trace(np.repeat(apart[:, :1], 3, 1), 8))
    assert one.found
    assert other.bits == pytest.approx(3, abs=0.01)
    assert other.null_bits < 0.02


FLEET = """
    [devices.a]
    board = "raspberry-pi-4b-4gb"
    count = 2
    [devices.b]
    board = "jetson-nano"
    [default_link]
    bandwidth = "1 Gbit/s"
    latency = "0.2 ms"
"""


def test_a_fleet_of_boards_is_one_of_hosts_and_wires() -> None:
    fleet = loads(FLEET)
    found = expert_fleet(fleet, ExpertShape.gated(512, 1024), kept_bytes=1 << 30)
    assert len(found.hosts) == 3
    assert len(found.wires) == 6  # each pair two ways
    assert found.wires[0].bytes_per_s == 125e6
    assert found.orbits == (0, 0, 2)
    assert found.hosts[0].slots_bytes == fleet.devices[0].memory_limit_bytes - (1 << 30) > 0
    assert found.hosts[2].curve(1000) < found.hosts[0].curve(1000)
    shared = replace(fleet, default_link=replace(fleet.default_link, shared=True)) if fleet.default_link else fleet
    assert len(expert_fleet(shared, SHAPE).wires) == 1
    with pytest.raises(FleetError, match="no link joins"):
        expert_fleet(replace(fleet, default_link=None), SHAPE)


def test_a_curve_that_was_measured_counts_step_by_step() -> None:
    """An expert of one token in every other step costs what reading its weights does, in half of the steps."""
    chosen = np.zeros((40, 1, 1), np.int64)
    chosen[::8] = 1  # of four steps the first only
    measured = Curve((10, 20), (1e-5, 2e-5))
    asked = problem(flows(trace(chosen, 2), 2, step_tokens=10), nodes(1, 2, 2, measured), SHAPE)
    np.testing.assert_allclose(asked.mean.seconds[0, 0, :, 0], [1e-5, 0.25e-5])
    assert EVEN(3) == pytest.approx(3e-6)
