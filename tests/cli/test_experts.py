"""A model's experts planned over a fleet and gone on with, by the command line alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shoal import codec
from shoal.plan.experts import ExpertPlan
from shoal.store import RoutingTrace
from tests.llm.expert_plan.folders import QUICK, small, text

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("safetensors")

PROMPT = "The module provides "


@pytest.fixture
def folder(shoal: Any, tmp_path: Path) -> Path:
    """The current one, with a model, a text and a fleet."""
    small(tmp_path)
    text(tmp_path).rename(tmp_path / "text.txt")
    (tmp_path / "fleet.toml").write_text(QUICK)
    return tmp_path


def test_people_see_where_experts_lie_and_what_that_costs(shoal: Any, folder: Path) -> None:
    done = shoal(
        "plan", "small", "fleet.toml", "--place", "lpt", "--routes", "text.txt", "-o", "placed", columns=100
    )
    assert (done.code, done.err) == (0, "")
    for each in ("small: 4 layers of 8 experts, 2 of them for a token; 96 KiB each, 3 MiB in all",
                 "placed by lpt on 2,048 tokens, judged on 2,048 others", "from left", "to right", "a step of 256 tokens: ",
                 "bits of the one in the next layer (of shuffled tokens ", "`shoal serve placed` serves it"):  # fmt: skip
        assert each in done.out, done.out
    assert "warning" not in done.out
    plan = codec.load(ExpertPlan, folder / "placed" / "experts.json")
    assert plan.technique == "lpt"
    assert RoutingTrace.load(folder / "placed" / "routes.npz").tokens == 4096


def test_machines_are_told_the_same_figures(shoal: Any, folder: Path) -> None:
    words = ("plan", "small", "fleet.toml", "--place", "contiguous", "-o", "placed", "--json", "--routes")
    told = shoal(*words, "text.txt").json
    assert told["placement"] == [["left"] * 4 + ["right"] * 4] * 4
    assert [each["experts"] for each in told["devices"].values()] == [16, 16]
    assert {each["memory_bytes"] for each in told["devices"].values()} == {16 * 3 * 128 * 64 * 4}
    assert sum(each["load"] for each in told["devices"].values()) == pytest.approx(1)
    assert told["step_s"] == pytest.approx(told["compute_s"] + told["exchange_s"]) == told["in_order_step_s"]
    assert {each["bytes"] for each in told["links"]} == {told["links"][0]["bytes"]}  # as much there as back
    again = shoal(*words, "placed/routes.npz").json
    assert again == told


def test_routes_without_order_are_warned_of(shoal: Any, folder: Path) -> None:
    import numpy as np

    source = np.random.default_rng(0)
    chosen = np.argsort(source.random((600, 4, 8)), axis=-1)[..., :2].astype(np.int16)
    weights = np.ones(chosen.shape, np.float32)
    RoutingTrace(8, chosen, weights, np.full_like(chosen, -1), np.arange(600, dtype=np.int32)).save(
        folder / "none.npz"
    )
    done = shoal(
        "plan", "small", "fleet.toml", "--place", "lpt", "--routes", "none.npz", "--combine", "stay", columns=120
    )
    assert (
        "warning: experts of a layer say nothing about those of the next: only balancing the load can help"
        in done.out
    )
    assert "`shoal serve` brings them home after each layer" in done.out


def test_a_text_over_workers_is_that_of_one_process(shoal: Any, folder: Path) -> None:
    from shoal.llm.tiny import tiny

    shoal("plan", "small", "fleet.toml", "--place", "lpt", "--routes", "text.txt", "-o", "placed")
    with torch.no_grad():
        out = tiny("mixtral").module().generate(torch.tensor([list(PROMPT.encode())]), max_new_tokens=12, do_sample=False,
                                                pad_token_id=0)  # fmt: skip
    wanted = bytes(out[0, len(PROMPT) :].tolist()).decode()
    done = shoal("generate", "placed", PROMPT, "--tokens", 12)
    assert done.out == f"{wanted}\n"
    assert "[experts on left, right: first token after" in done.err
    assert "left: " in done.err
    assert "tokens of experts computed" in done.err
    told = shoal("generate", "placed/experts.json", PROMPT, "--tokens", 12, "--balance", "least_loaded:gate=1,least=1", "--json").json  # fmt: skip
    assert told["text"] == wanted
    workers = told["workers"]
    assert sum(each["copies"] for each in workers.values()) == (len(PROMPT) + 11) * 8
    assert sum(each["spilled"] for each in workers.values()) > 0


def test_what_does_not_go_together_is_refused(shoal: Any, folder: Path) -> None:
    plan = ("plan", "small", "fleet.toml", "--place", "lpt")
    assert "placed by the routes of texts" in shoal(*plan).complaint
    assert "tokens do not go 'hom'" in shoal(*plan, "--routes", "text.txt", "--combine", "hom").complaint
    assert (
        "experts are placed by their routes alone"
        in shoal(*plan, "--routes", "text.txt", "--pin", "a=left").complaint
    )
    assert (
        "routes are what experts are placed by"
        in shoal("plan", "small", "fleet.toml", "--routes", "text.txt").complaint
    )
    (folder / "fleet.toml").write_text(QUICK.replace('"this-machine"', '"this-machine"\nmemory_limit = "1 MiB"'))
    tight = shoal(*plan, "--routes", "text.txt")
    assert (tight.code, tight.err) == (1, "error: the fleet does not hold the experts (needed 32 slots, had 20)\n"
                                          "  hint: 12 more, 1.12 MiB: fewer bits, or more hosts\n")  # fmt: skip
    (folder / "fleet.toml").write_text(QUICK)
    shoal(*plan, "--routes", "text.txt", "-o", "placed")
    for words, told in (
        (("generate", "placed", "a", "--memory", "3MB"), "leave out --fleet"),
        (("generate", "placed", "a", "--weights", "int8"), "a plan of experts says where they are"),
        (("generate", "placed", "a", "--balance", "best"), "no balancer is called 'best'"),
        (("generate", "small", "a", "--balance", "plain"), "experts are balanced where a plan has placed them"),
        (("run", "placed"), "this is a plan of experts"),
        (("serve", "nowhere", "--balance", "plain"), "only a plan of experts is balanced"),
    ):
        assert told in shoal(*words).complaint
    file = folder / "placed" / "experts.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"per_token": 0}))
    assert "not a plan of experts" in shoal("generate", "placed", "a").complaint
