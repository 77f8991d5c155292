"""A format for each layer: the best for so many bits, seconds and joules."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from shoal.compress import Budget, Choice, allocate, compress, mixed, opened, ties_of, total
from shoal.compress.techniques.gptq import Gptq
from shoal.errors import InputError, LimitError
from tests.compress import nets
from tests.graph.models import floats, info, model, node, write

FORMATS = ("int3g16", "int4", "int4g64", "int4g32", "int4g16", "int5g16", "int6", "int8")


def drawn(seed: int, layers: int = 6) -> dict[str, list[Choice]]:
    """Layers of different sizes, slower and hungrier with more bits, more or less."""
    source = np.random.default_rng(seed)
    found = {}
    for number, size in enumerate(source.integers(1, 9, layers) * 100):
        found[f"op{number}"] = [
            Choice(
                f"int{bits}", float(source.uniform(0.5, 2) * 4.0**-bits), int(bits * size),
                float(source.uniform(0.5, 1.5) * bits * size) * 1e-7, float(source.uniform(0.5, 1.5) * bits) * 1e-4,
                "int4" if bits < 4 else "int8",
            )
            for bits in (2, 3, 4, 8)
        ]  # fmt: skip
    return found


def every(options: Mapping[str, Sequence[Choice]], budget: Budget) -> Iterator[dict[str, Choice]]:
    """Every combination within the budget."""
    for some in itertools.product(*options.values()):
        if all(
            sum(getattr(each, name) for each in some) <= most * (1 + 1e-9) for name, most in budget.limits.items()
        ):
            yield dict(zip(options, some, strict=True))


def middle(options: Mapping[str, Sequence[Choice]], name: str, share: float) -> float:
    """So far between the least and the most of it."""
    least, most = (
        sum(pick(getattr(each, name) for each in some) for some in options.values()) for pick in (min, max)
    )
    return float(least + share * (most - least))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("limited", ["bits", "latency_s", "energy_j", "all"])
def test_the_programme_finds_the_best_of_all(seed: int, limited: str) -> None:
    """Against every combination."""
    options = drawn(seed)
    names = ("bits", "latency_s", "energy_j") if limited == "all" else (limited,)
    for share in (0.1, 0.4, 0.8):
        budget = Budget(**{name: middle(options, name, share) for name in names})
        within = list(every(options, budget))
        if not within:
            continue
        found = allocate(options, budget)
        for name, most in budget.limits.items():
            assert total(options, found, name) <= most * (1 + 1e-6)
        best = min(sum(each.loss for each in some.values()) for some in within)
        assert total(options, found, "loss") == pytest.approx(best)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.6, 1.0])
def test_loss_and_latency_may_be_weighed(alpha: float) -> None:
    options = drawn(7, 5)
    reference = {op: some[-1] for op, some in options.items()}
    loss, latency = (sum(getattr(each, name) for each in reference.values()) for name in ("loss", "latency_s"))

    def value(some: Mapping[str, Choice]) -> float:
        return sum(alpha * each.loss / loss + (1 - alpha) * each.latency_s / latency for each in some.values())

    found = allocate(options, Budget(), alpha=alpha)
    chosen = {op: next(each for each in options[op] if each.format == name) for op, name in found.items()}
    assert value(chosen) == pytest.approx(min(map(value, every(options, Budget()))))


@pytest.mark.parametrize("seed", range(3))
def test_tied_layers_take_activations_of_one_format(seed: int) -> None:
    options = drawn(seed, 5)
    ties = [("op0", "op2", "op4")]
    budget = Budget(bits=middle(options, "bits", 0.3))

    def same(some: Mapping[str, Choice]) -> bool:
        return len({some[op].activations for op in ties[0]}) == 1

    found = allocate(options, budget, ties=ties)
    chosen = {op: next(each for each in options[op] if each.format == name) for op, name in found.items()}
    assert same(chosen)
    best = min(sum(each.loss for each in some.values()) for some in every(options, budget) if same(some))
    assert total(options, found, "loss") == pytest.approx(best)


@pytest.mark.parametrize("name", ["bits", "latency_s", "energy_j"])
def test_the_limit_that_binds_is_named_with_what_could_be_kept(name: str) -> None:
    options = drawn(3)
    least = middle(options, name, 0.0)
    generous = {each: middle(options, each, 1.0) for each in ("bits", "latency_s", "energy_j")}
    with pytest.raises(LimitError) as caught:
        allocate(options, Budget(**(generous | {name: 0.5 * least})))
    word = {"bits": "size", "latency_s": "latency", "energy_j": "energy"}[name]
    assert f"do not go so low in {word} within" in caught.value.message
    had = str(caught.value.had)
    assert had.endswith("at least")
    assert Budget().told(name, least) in had
    found = allocate(options, Budget(**(generous | {name: least * 1.000001})))
    assert total(options, found, name) == pytest.approx(least)


def test_limits_that_exclude_each_other_name_one() -> None:
    """Fast is large here: either alone can be kept."""
    options = {"op": [Choice("fast", 0.1, 800, 1e-3), Choice("small", 0.1, 100, 9e-3)]}
    for budget in (Budget(bits=800), Budget(latency_s=9e-3)):
        assert allocate(options, budget)
    with pytest.raises(LimitError, match=r"in size within 2 ms \(needed 25 B, had 100 B at least\)"):
        allocate(options, Budget(bits=200, latency_s=2e-3))


def test_bits_that_are_slower_are_not_taken() -> None:
    """On a device whose kernels for four bits are slower, what is to be fast stays in eight."""
    options = {
        f"op{number}": [Choice("int4", 0.01, 400, 3e-3, 3e-3), Choice("int8", 0.0001, 800, 2e-3, 2e-3)]
        for number in range(5)
    }
    for found in (
        allocate(options, Budget(latency_s=10e-3)), allocate(options, Budget(latency_s=14e-3)),
        allocate(options, Budget(), alpha=0.6), allocate(options, Budget(energy_j=10.5e-3)),
    ):  # fmt: skip
        assert set(found.values()) == {"int8"}


def test_sums_tie_layers(tmp_path: Path) -> None:
    """Two residual blocks, one after another, and a layer apart."""
    weights = {f"w{number}": floats(8, 8, 1, 1, seed=number) for number in range(4)}
    nodes = [
        node("Conv", "x w0", "a"), node("Conv", "a w1", "b"), node("Relu", "b", "r"), node("Add", "a r", "s"),
        node("Conv", "s w2", "c"), node("Add", "s c", "t"), node("Conv", "t w3", "y"),
    ]  # fmt: skip
    graph = opened(write(model(nodes, [info("x", (1, 8, 4, 4))], ["y"], weights, 21), tmp_path))
    assert ties_of(graph, ["a", "b", "c", "y"]) == (("a", "b", "c"),)
    assert ties_of(graph, ["a", "c", "y"]) == (("a", "c"),)


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


def test_the_ends_are_fixed_within_the_budget(tmp_path: Path) -> None:
    proto = nets.mlp(depth=4)
    graph = opened(write(proto, tmp_path))
    found = mixed(graph, (), ("int2g16", "int4g16"), 6.0, ends="int8", sensitivity="qsnr")
    assert (found["m0"], found["m3"]) == ("int8", "int8")
    assert {found["m1"], found["m2"]} <= {"int2g16", "int4g16"}
    with pytest.raises(LimitError, match="bits a weight at least"):
        mixed(graph, (), ("int2g16", "int4g16"), 4.0, ends="int8", sensitivity="qsnr")


def test_a_budget_of_bytes_is_that_of_all_weights(tmp_path: Path) -> None:
    proto = nets.mixed()
    graph = opened(write(proto, tmp_path))
    given = nets.samples(proto, 4)
    limit = 0.2 * graph.weights_bytes
    formats = mixed(graph, given, ("int2", "int4", "int8"), budget=Budget(bits=8 * limit))
    stored = compress(graph, [Gptq("int8")], given, formats).stored_bytes
    assert 0.8 * limit < stored <= limit


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
    with pytest.raises(InputError, match="no sensitivity is called 'nothing'"):
        mixed(graph, given, ("int2g16",), 4, sensitivity="nothing")
    with pytest.raises(InputError, match="need measured costs"):
        mixed(graph, given, ("int4g16",), budget=Budget(latency_s=1e-3))
    with pytest.raises(InputError, match="alpha is a share"):
        allocate(drawn(0), Budget(), alpha=2)
