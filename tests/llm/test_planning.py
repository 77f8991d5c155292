"""Plans of models without weights: what they predict is what the formulas say, and what the simulator does."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import LimitError, ModelError
from shoal.fleet import Device, Fleet, Link, Unit, load
from shoal.llm import architecture
from shoal.llm.outlook import Outlook, Pace, both_bytes
from shoal.llm.planning import plan_entry, sharing
from shoal.plan import Plan, Wishes
from shoal.plan.costs import nominal
from shoal.plan.problem import Problem
from shoal.plan.values import Objective
from shoal.program import Workload
from shoal.program.workload import Item
from shoal.run.execute import Settings, execute
from shoal.run.simulated import simulated
from tests.llm import configs

GIB = 1 << 30
SIXTEEN = Path(__file__).parents[2] / "examples" / "fleets" / "sixteen_unlike.toml"
SMALL: dict[str, Any] = {
    "model_type": "llama", "vocab_size": 4000, "hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 3,
    "num_attention_heads": 8, "num_key_value_heads": 2, "max_position_embeddings": 2048, "tie_word_embeddings": False,
}  # fmt: skip
EFFICIENCY, CALL_S = {"compute": 0.5, "memory": 0.7}, 5e-6  # of the roofline


def device(name: str, tflops: float, gb_per_s: float, memory_bytes: int = 8 * GIB) -> Device:
    unit = Unit("gpu", 1, {"float32": 1e12 * tflops / 2, "float16": 1e12 * tflops}, 1e9 * gb_per_s, 50.0)
    return Device(name, "toy", (unit,), memory_bytes, memory_bytes, 10.0, link_j_per_byte=1e-9)


def fleet(*devices: Device) -> Fleet:
    return Fleet(devices, (), Link("net", (), 1e9, 1e-4))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(SMALL))
    return path


def test_one_device_is_as_quick_as_its_roofline_by_hand(small: Path) -> None:
    tflops, gb_per_s, batch, context = 10.0, 200.0, 4, 512
    entry = f"decode:batch={batch},context={context}"
    plan = plan_entry(small, entry, fleet(device("one", tflops, gb_per_s)), Wishes()).plan
    whole = architecture(SMALL)
    blocks = 2 + 2 * 3
    embedding = whole.vocabulary * whole.width
    moved = 2 * (whole.parameters - embedding + batch * whole.width)  # weights, of the embedding a row a sequence
    kept = batch * whole.cache_bytes(1)
    moved += (context - 1) * kept + kept  # all that is kept is read, a token written
    along = batch * 2 * whole.width
    moved += (
        batch * 4 + along + 2 * 6 * along + along + batch * 2 * whole.vocabulary
    )  # symbols, between blocks, logits
    by_hand_s = moved / (gb_per_s * 1e9 * EFFICIENCY["memory"]) + blocks * CALL_S  # every block is bound by memory
    assert plan.prediction.period_s == pytest.approx(by_hand_s, rel=1e-9)
    assert batch / plan.prediction.period_s < batch * gb_per_s * 1e9 / moved  # what the memory's own speed allows
    run = simulated(plan, 20)
    assert run.period_s == pytest.approx(by_hand_s, rel=1e-6)


def test_a_long_prompt_is_bound_by_arithmetic(small: Path) -> None:
    tflops = 1.0
    plan = plan_entry(small, "prefill:tokens=2048", fleet(device("one", tflops, 2000)), Wishes()).plan
    macs = catalog.make("llm/blocks", "prefill:tokens=2048").graph(SMALL).macs
    by_hand_s = 2 * macs / (tflops * 1e12 * EFFICIENCY["compute"])
    assert plan.prediction.alone_latency_s == pytest.approx(by_hand_s, rel=0.05)  # but for calls, and the two ends
    assert plan.prediction.alone_latency_s > by_hand_s


def test_a_pipeline_takes_the_sum_alone_and_its_bottleneck_when_full(small: Path) -> None:
    tight = 22 << 20  # bytes above the engine's own, so that no device holds all of it
    machines = fleet(
        *(device(name, 1.0, speed, (61 << 20) + tight) for name, speed in (("a", 5), ("b", 9), ("c", 3)))
    )
    plan = plan_entry(small, "decode:context=64,weights=float32", machines, Wishes()).plan
    assert len(plan.units) > 1
    seconds = [plan.estimates[name].seconds for name in plan.segment_units]
    graph = catalog.make("llm/blocks", plan.model.entry).graph(SMALL)
    hops_s = (len(seconds) - 1) * (1e-4 + 4 * graph.tensors["embedding"].bytes / 4 / 1e9)
    run = simulated(plan, 40)
    assert run.alone_latency_s == pytest.approx(sum(seconds) + hops_s, rel=1e-6)
    assert run.period_s == pytest.approx(max(seconds), rel=1e-6)


def test_memory_is_weights_and_what_is_kept_of_every_sequence_in_flight(small: Path) -> None:
    window, batch, context = 5, 3, 1000
    wishes = Wishes(workload=Workload(32, window=window))
    plan = plan_entry(small, f"decode:batch={batch},context={context}", fleet(device("a", 1, 10)), wishes).plan
    whole, runtime = architecture(SMALL), 61 << 20
    least = runtime + 2 * whole.parameters + window * batch * whole.cache_bytes(context)
    assert least <= plan.prediction.memory_bytes["a"] <= least + (1 << 20)  # activations and buffers are small


@pytest.mark.parametrize("entry", ["decode:weights=fp8", "prefill:tokens=64,experts=4"])
def test_the_planner_finds_what_trying_everything_finds(entry: str) -> None:
    entries = configs.MIXTRAL_8X7B | {"num_hidden_layers": 2, "hidden_size": 512, "intermediate_size": 1024}
    graph = catalog.make("llm/blocks", entry).graph(entries)
    machines = fleet(device("a", 1, 10), device("b", 3, 6, 80 << 20), device("c", 2, 20, 90 << 20))
    asked = Problem(graph, machines, Objective(), nominal(graph, machines), 3, machines.unit_names,
                    pattern=tuple(Item(session=at) for at in range(3)))  # fmt: skip
    found, every = (catalog.make("plan/planners", name).search(asked) for name in ("chain_dp", "exhaustive"))
    assert found.exact
    for one, other in ((found, every), (every, found)):  # neither has a plan that beats all of the other's
        least = np.array(one.scores).min(axis=0)
        np.testing.assert_allclose(least, np.array(other.scores).min(axis=0), rtol=1e-9)
    assert len(found.placements) == len({tuple(row) for row in np.round(every.scores, 15).tolist()})


def test_prefill_may_run_where_decode_does(small: Path) -> None:
    machines = fleet(device("a", 1, 10, 90 << 20), device("b", 3, 6, 80 << 20))
    decode = plan_entry(small, "decode", machines, Wishes()).plan
    apart = plan_entry(small, "prefill", machines, Wishes()).plan
    prefill = plan_entry(small, "prefill", machines, Wishes(), decode).plan
    assert prefill.owners == decode.owners
    assert prefill.recipe == decode.recipe
    together, twice = both_bytes(prefill, decode), both_bytes(apart, decode)
    for name, size in together.items():
        assert max(prefill.prediction.memory_bytes[name], decode.prediction.memory_bytes[name]) <= size
    both = sum(sum(plan.prediction.memory_bytes.values()) for plan in (prefill, decode))
    weights = catalog.make("llm/blocks", "decode").graph(SMALL).weights_bytes
    assert sum(together.values()) == both - weights - len(decode.units) * (61 << 20)
    assert sum(together.values()) <= sum(twice.values())


def test_units_that_share_a_memory_do_not_read_it_twice(small: Path) -> None:
    alone = device("a", 1, 10)
    slower = replace(alone.units[0], name="cpu", peak_flop_per_s={"float32": 1e11})
    apart = replace(slower, name="npu", memory_bytes_per_s=5e9)
    both = fleet(replace(alone, units=(slower, *alone.units, apart)))
    assert sharing(both) == ("a/cpu",)
    assert sharing(fleet(alone)) == sharing(both, ["a/gpu"]) == ()
    plan = plan_entry(small, "decode", both, Wishes()).plan
    assert "a/cpu" not in plan.units
    assert plan.recipe.exclude == ("a/cpu",)


def test_what_users_see_follows_from_the_plans(small: Path) -> None:
    plan = plan_entry(small, "decode:batch=4", fleet(device("a", 1, 10)), Wishes()).plan
    seen = Outlook(plan, Pace.of(simulated(plan, 30)))
    told = Outlook(plan, Pace.planned(plan)).facts
    assert told["tokens_per_s"] == 4 / plan.prediction.period_s
    assert seen.facts["tokens_per_s"] == pytest.approx(told["tokens_per_s"])
    assert seen.facts["token_alone_s"] == pytest.approx(told["token_alone_s"])
    assert told["energy_j_per_token"] == sum(plan.prediction.energy_j.values()) / 4


def test_a_model_that_no_fleet_holds_is_refused_with_both_figures(tmp_path: Path, small: Path) -> None:
    large = tmp_path / "large.json"
    large.write_text(json.dumps(configs.DEEPSEEK_V3))
    began = time.perf_counter()
    with pytest.raises(LimitError, match=r"the fleet does not hold the model.*needed 627 GiB of weights") as caught:
        plan_entry(large, "decode:weights=fp8", fleet(device("a", 1, 10), device("b", 1, 10)), Wishes())
    assert caught.value.had == "16 GiB on 2 devices"
    assert time.perf_counter() - began < 10
    many = fleet(*(device(f"d{at}", 1, 10, GIB // 1024) for at in range(40)))
    with pytest.raises(
        LimitError, match=r"no device holds the block 'head'.*needed 1.95 MiB.*had at most"
    ) as caught:
        plan_entry(small, "decode:context=1", many, Wishes(workload=Workload(1, window=1)))


def test_a_plan_without_weights_is_simulated_and_not_run(small: Path) -> None:
    plan: Plan = plan_entry(small, "decode", fleet(device("a", 1, 10)), Wishes()).plan
    assert simulated(plan, 3).items == 3
    with pytest.raises(ModelError, match="made from a configuration alone"):
        execute(plan, Settings(items=1))


def test_671_billion_parameters_over_sixteen_unlike_devices_within_a_minute(tmp_path: Path) -> None:
    """Half of it on a machine that does nothing else: `python -m bench.giant`."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(configs.DEEPSEEK_V3))
    machines = load(SIXTEEN)
    began = time.process_time()
    plan = plan_entry(path, "decode:weights=fp8", machines, Wishes()).plan
    run = simulated(plan, 32)
    assert time.process_time() - began < 30
    assert len({each.board for each in machines.devices}) == len(machines.devices) == 16
    assert run.period_s == pytest.approx(plan.prediction.period_s, rel=1e-6)
    assert len(plan.units) > 8
    for name, used in plan.prediction.memory_bytes.items():
        assert used <= machines.device(name).memory_limit_bytes
