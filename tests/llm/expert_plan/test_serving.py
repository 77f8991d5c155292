"""Texts over experts in worker processes: those of one process, whatever is balanced and whoever dies."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from shoal.errors import InputError, ModelError, WorkError
from shoal.llm.expert_plan import serving
from shoal.llm.expert_plan.model import trained
from shoal.llm.service import Request
from shoal.llm.tiny import tiny
from shoal.plan.experts import ExpertPlacement, ExpertPlan
from tests.llm.expert_plan.folders import plan, small

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("safetensors")

PROMPTS = (b"The module provides ", b"If the argument is ", b"A list of strings " * 3, b"class ")
NEW = 12


@pytest.fixture(scope="module")
def placed(tmp_path_factory: pytest.TempPathFactory) -> ExpertPlan:
    return plan(tmp_path_factory.mktemp("placed"))


@pytest.fixture(scope="module")
def wanted() -> list[list[int]]:
    """What transformers goes on with, greedily, in one process."""
    model = tiny("mixtral").module()
    return [generated(model, prompt, NEW) for prompt in PROMPTS]


def generated(model: Any, prompt: bytes, new: int) -> list[int]:
    with torch.no_grad():
        out = model.generate(torch.tensor([list(prompt)]), max_new_tokens=new, do_sample=False, pad_token_id=0)
    return out[0, len(prompt) :].tolist()


@pytest.mark.parametrize("balancer", ["plain", "least_loaded:gate=1,least=1", "random_spill"])
def test_texts_are_those_of_one_process(placed: ExpertPlan, wanted: list[list[int]], balancer: str) -> None:
    with serving(placed, balancer, rows=3, context=128) as found:
        streams = [found.generator.ask(Request(tuple(prompt), NEW)) for prompt in PROMPTS]
        assert [stream.all() for stream in streams] == wanted
    fed = sum(map(len, PROMPTS)) + len(PROMPTS) * (NEW - 1)
    done = found.tally.workers
    assert sum(each.copies for each in done) == fed * 4 * 2  # layers, experts of a token
    assert any(each.spilled for each in done) == (balancer != "plain")
    assert any(each.weight_bytes for each in done) == (balancer != "plain")
    assert found.generator.counts.placements == ["experts on left, right"]


def test_nothing_spills_where_it_costs_more_than_it_gains(placed: ExpertPlan, wanted: list[list[int]]) -> None:
    slow = tuple(replace(each, bytes_per_s=1e6) for each in placed.fleet.wires)
    dear = replace(placed, fleet=replace(placed.fleet, wires=slow))
    with serving(dear, "least_loaded:gate=1,least=1", context=128) as found:
        assert found.generator.ask(Request(tuple(PROMPTS[0]), NEW)).all() == wanted[0]
    assert not any(each.spilled for each in found.tally.workers)


def test_nothing_spills_where_there_is_no_memory_for_it_and_it_is_said(
    placed: ExpertPlan, wanted: list[list[int]]
) -> None:
    full = tuple(replace(each, slots_bytes=16 * placed.shape.weight_bytes) for each in placed.fleet.hosts)
    tight = replace(placed, fleet=replace(placed.fleet, hosts=full))
    assert tight.room == (0, 0)
    with serving(tight, "least_loaded:gate=1,least=1", context=128) as found:
        assert found.generator.ask(Request(tuple(PROMPTS[0]), NEW)).all() == wanted[0]
    assert not any(each.spilled for each in found.tally.workers)
    assert found.tally.said == "a device without memory for one more expert of others takes none"


def test_texts_go_on_when_a_worker_is_killed(placed: ExpertPlan) -> None:
    whole = generated(tiny("mixtral").module(), PROMPTS[0], 60)
    with serving(placed, context=128) as found:
        stream = found.generator.ask(Request(tuple(PROMPTS[0]), 60))
        tokens = iter(stream)
        got = [next(tokens) for _ in range(5)]
        os.kill(workers()[1], signal.SIGKILL)
        got += list(tokens)
        assert got == whole
        assert found.generator.counts.losses == 1
        assert len(found.generator.counts.placements) == 2
        assert len(workers()) == 2
    assert not workers()


def test_a_model_that_is_gone_by_then_ends_texts_with_a_word(tmp_path: Path) -> None:
    made = plan(tmp_path)
    with serving(made, context=128) as found:
        stream = found.generator.ask(Request(tuple(PROMPTS[0]), 60))
        next(iter(stream))
        (tmp_path / "small" / "model.safetensors").unlink()
        os.kill(workers()[0], signal.SIGKILL)
        list(stream)
        assert stream.ended is not None
        assert stream.ended.reason == "lost"
        assert "transformers does not read the model" in stream.ended.why
        with pytest.raises(WorkError, match="does not read"):
            found.generator.ask(Request((1,)))


def test_what_cannot_be_is_refused(tmp_path: Path, placed: ExpertPlan) -> None:
    with pytest.raises(InputError, match="no balancer is called 'best'"), serving(placed, "best"):
        pass
    with pytest.raises(InputError, match="no such context"), serving(placed, context=5000):
        pass
    turned = replace(placed, placement=ExpertPlacement(placed.placement.hosts[:3]), forecast=replace(placed.forecast, copies=placed.forecast.copies[:3]))  # fmt: skip
    with pytest.raises(InputError, match="other experts than the model has"), serving(turned):
        pass
    made = plan(tmp_path)
    config = tmp_path / "small" / "config.json"
    config.write_text(config.read_text().replace("4096", "2048"))
    with pytest.raises(InputError, match="another model than the plan is of"), serving(made):
        pass


def test_weights_that_are_missing_are_named(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    folder = small(tmp_path)
    weights = load_file(folder / "model.safetensors")
    lost = weights.pop("model.layers.2.mlp.gate.weight")
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(ModelError, match=r"missing.*model\.layers\.2\.mlp\.gate\.weight"):
        trained(folder)
    save_file(weights | {"model.layers.2.mlp.gate.weight": lost[:4]}, folder / "model.safetensors")
    with pytest.raises(ModelError):
        trained(folder)
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(ModelError):
        trained(folder)


def workers() -> list[int]:
    return [each.pid for each in psutil.Process().children() if "shoal.llm.expert_parallel" in each.cmdline()]
