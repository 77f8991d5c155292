"""Experts placed by the routes of a text: what is found, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal import fleet
from shoal.errors import InputError, LimitError, ModelError
from shoal.llm.expert_plan import Question
from shoal.llm.expert_plan.model import facts, reference
from shoal.llm.expert_plan.routes import halves
from shoal.llm.routes import recorded
from shoal.llm.tiny import save_folder, tiny
from shoal.store import RoutingTrace
from tests.llm.expert_plan.folders import QUICK, small, text

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("safetensors")

SLOW = """
[devices.left]
board = "this-machine"
[devices.right]
board = "this-machine"
[devices.slow]
board = "this-machine"
speed = 0.3
[default_link]
bandwidth = "1 Gbit/s"
latency = "0.1 ms"
"""


def question(folder: Path, **given: Any) -> Question:
    routes = given.pop("routes") if "routes" in given else (text(folder),)
    described, technique = given.pop("described", QUICK), given.pop("technique", "lpt")
    return Question(small(folder), fleet.loads(described), technique, routes, **given)


def test_routes_of_a_text_are_those_of_the_model_and_judge_by_its_second_half(tmp_path: Path) -> None:
    found = question(tmp_path).answered()
    assert found.recorded is not None
    symbols = np.frombuffer(text(tmp_path).read_bytes(), np.uint8).astype(np.int64).reshape(-1, 128)
    wanted = recorded(tiny("mixtral").module(), symbols)
    np.testing.assert_array_equal(found.recorded.chosen, wanted.chosen)
    assert found.tokens == (2048, 2048)
    loads = RoutingTrace(wanted.experts, *(getattr(wanted, name)[2048:] for name in ("chosen", "weights", "foreseen", "documents"))).loads()  # fmt: skip
    for layer, row in enumerate(found.plan.placement.hosts):
        mine = [loads[layer][np.array(row) == host].sum() / 8 for host in (0, 1)]  # of eight steps
        assert list(found.plan.forecast.copies[layer]) == pytest.approx(mine)
    assert found.plan.step_tokens == 256
    assert len(found.dependencies) == 3
    assert all(each.found for each in found.dependencies)


def test_what_a_model_has_is_known_without_its_weights(tmp_path: Path) -> None:
    folder = small(tmp_path, "experts16")
    known = facts(folder)
    (folder / "model.safetensors").unlink()
    assert facts(folder) == known
    assert (known.layers, known.experts, known.per_token, known.width, known.activation) == (4, 16, 4, 128, "silu")
    weights = tiny("experts16").weights
    assert known.layers * known.experts * known.shape.weight_bytes + known.other_bytes == 4 * sum(each.size for each in weights.values())  # fmt: skip


def test_recorded_routes_need_no_weights_and_give_the_same_placement(tmp_path: Path) -> None:
    asked = question(tmp_path)
    first = asked.answered()
    assert first.recorded is not None
    first.recorded.save(tmp_path / "routes.npz")
    (tmp_path / "small" / "model.safetensors").unlink()
    again = replace(asked, model=tmp_path / "small" / "config.json", routes=(tmp_path / "routes.npz",)).answered()
    assert again.recorded is None
    assert again.plan.placement == first.plan.placement
    assert again.plan.forecast == first.plan.forecast


def test_every_second_file_judges(tmp_path: Path) -> None:
    files = tuple(text(tmp_path, start, 300) for start in (0, 1000, 2000))
    found = question(tmp_path, routes=files).answered()
    assert found.tokens == (512, 256)  # two whole stretches each
    assert found.plan.step_tokens == 256


def test_a_slow_device_gets_less(tmp_path: Path) -> None:
    found = question(tmp_path, described=SLOW, step_tokens=2048).answered().plan
    loads = np.sum(found.forecast.copies, axis=0)
    assert loads[2] < 0.6 * min(loads[:2])


def test_measured_here_counts_for_devices_that_are_here(tmp_path: Path) -> None:
    here = QUICK.replace(
        '[devices.right]\nboard = "this-machine"', '[devices.right]\nboard = "raspberry-pi-4b-4gb"'
    )
    plain, found = (question(tmp_path, described=here, measure=each).answered() for each in (False, True))
    assert found.curve is not None
    assert found.plan.fleet.hosts[0].curve == found.curve
    assert plain.plan.fleet.hosts[0].curve != found.curve
    assert found.plan.fleet.hosts[1] == plain.plan.fleet.hosts[1]
    with pytest.raises(InputError, match="no device is this machine"):
        question(tmp_path, described=QUICK.replace("this-machine", "raspberry-pi-4b-4gb"), measure=True).answered()


def test_too_little_memory_is_refused_before_a_text_is_read(tmp_path: Path) -> None:
    tight = QUICK.replace('board = "this-machine"', 'board = "this-machine"\nmemory_limit = "1 MiB"')
    with pytest.raises(LimitError, match=r"needed 32 slots, had 20") as caught:
        question(tmp_path, described=tight, routes=(tmp_path / "nowhere.txt",)).answered()
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("12 more, 1.12 MiB")


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"routes": ()}, "placed by the routes of texts"),
        ({"step_tokens": 0}, "a step has a token at least"),
        ({"technique": "best"}, "is called 'best'"),
        ({"routes": (tmp_path / "nowhere.txt",)}, "cannot read"),
        ({"routes": (text(tmp_path, 5000, 100),)}, "too short a text .*needed 128 tokens, had 100"),
        ({"routes": (tmp_path / "a.npz", tmp_path / "b.npz")}, "one file of routes, or texts"),
    )
    for given, told in cases:
        with pytest.raises(InputError, match=told):
            question(tmp_path, **given).answered()
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff" * 300)
    with pytest.raises(InputError, match="not a text file"):
        question(tmp_path, routes=(binary,)).answered()


def test_routes_and_models_of_another_kind_are_refused(tmp_path: Path) -> None:
    symbols = np.zeros((2, 128), np.int64)
    recorded(tiny("experts16").module(), symbols).save(tmp_path / "other.npz")
    with pytest.raises(
        InputError, match="needed 4 layers of 8 experts, 2 a token, had 4 layers of 16 experts, 4 a token"
    ):
        question(tmp_path, routes=(tmp_path / "other.npz",)).answered()
    plain = save_folder(tiny("llama"), tmp_path / "plain")
    with pytest.raises(ModelError, match="no layer of the model has experts"):
        facts(plain)
    config = plain / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_type": "nobody"}))
    with pytest.raises(ModelError, match="no model of the kind 'nobody'"):
        facts(plain)


def test_a_single_token_is_not_split() -> None:
    one = RoutingTrace(
        2, *(np.zeros((1, 1, 1), kind) for kind in (np.int16, np.float32, np.int16)), np.zeros(1, np.int32)
    )
    with pytest.raises(InputError, match="too few texts to split"):
        halves(one)


def test_a_reference_is_of_the_content(tmp_path: Path) -> None:
    folder = small(tmp_path)
    before = reference(folder)
    assert reference(folder) == before
    config = folder / "config.json"
    config.write_text(config.read_text().replace("4096", "2048"))
    assert reference(folder).sha256 != before.sha256
