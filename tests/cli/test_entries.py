"""Plans and simulations of a language model from its configuration, on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shoal import codec
from shoal.plan import Plan
from shoal.record import Run

CONFIG = {
    "model_type": "llama", "vocab_size": 2000, "hidden_size": 128, "intermediate_size": 352, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512, "tie_word_embeddings": True,
}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path / "config.json"


def test_both_entries_are_planned_apart_and_simulated(config: Path, fleet: Path, shoal: Any) -> None:
    told = shoal(
        "plan", config, fleet, "--context", 300, "--tokens", 100, "--batch", 2, "--weights", "int8", "--json"
    ).json
    assert set(told) == {"prefill", "decode"}
    assert {"first_token_s", "prompts_per_s", "energy_j_per_prompt", "memory_bytes", "front"} <= set(
        told["prefill"]
    )
    assert {"tokens_per_s", "token_s", "token_alone_s", "energy_j_per_token", "memory_bytes"} <= set(told["decode"])
    plans = {name: codec.load(Plan, Path("plan") / name / "plan.json") for name in told}
    sizes = "weights=int8,experts=64,heads=1"
    assert plans["decode"].model.entry == f"decode:batch=2,context=300,{sizes}"
    assert plans["prefill"].model.entry == f"prefill:batch=2,tokens=100,{sizes}"
    found = shoal("simulate", "plan", "--items", 20, "--json").json
    assert found["decode"]["tokens_per_s"] == pytest.approx(told["decode"]["tokens_per_s"])
    assert found["prefill"]["first_token_s"] == pytest.approx(told["prefill"]["first_token_s"])
    assert codec.load(Run, Path("run-decode.json")).items == 20
    assert shoal("simulate", Path("plan") / "decode", "--json").json["items"] == 32


def test_people_see_the_first_token_the_others_and_the_memory(config: Path, fleet: Path, shoal: Any) -> None:
    for done in (shoal("plan", config, fleet, "--together", columns=100), shoal("simulate", "plan", columns=100)):
        assert done.code == 0
        assert "first token after" in done.out
        assert "tokens/s with" in done.out
        assert "both at once" in done.out
    decode, prefill = (codec.load(Plan, Path("plan") / name / "plan.json") for name in ("decode", "prefill"))
    assert prefill.owners == decode.owners
    assert "`shoal simulate plan/decode` simulates it" in shoal("plan", config, fleet, "--entry", "decode").out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--entry", "deco"), "no entry is called 'deco'"),
        (("--context", 10_000), "a context beyond the model"),
        (("--batch", 0), "'batch' is out of range"),
        (("--weights", "int99"), "no number format is called 'int99'"),
        (("--formats", "auto"), "--formats: a configuration alone cannot do that"),
        (("--strategy", "all"), "--strategy: blocks of a configuration are placed whole"),
        (("--measure",), "--measure: a configuration alone cannot do that"),
    ],
)
def test_what_cannot_be_planned_is_refused(options: Any, told: str, config: Path, fleet: Path, shoal: Any) -> None:
    assert told in shoal("plan", config, fleet, *options).complaint


def test_a_model_that_the_fleet_does_not_hold_is_refused(config: Path, fleet: Path, shoal: Any) -> None:
    config.write_text(
        json.dumps(CONFIG | {"num_hidden_layers": 80, "hidden_size": 8192, "intermediate_size": 28672})
    )
    done = shoal("plan", config, fleet)
    assert done.code == 1
    assert "the fleet does not hold the model (needed 135 GiB of weights" in done.err
    assert "on 2 devices)" in done.err


def test_a_plan_without_weights_is_not_run(config: Path, fleet: Path, shoal: Any) -> None:
    assert shoal("plan", config, fleet).code == 0
    assert "this folder holds several plans" in shoal("run", "plan").complaint
    refused = shoal("run", Path("plan") / "decode").complaint
    assert "made from a configuration alone" in refused
    assert "simulate it, or give the model's weights" in refused
    config.write_text(json.dumps(CONFIG | {"num_hidden_layers": 4}))
    assert "changed since it was planned" in shoal("simulate", Path("plan") / "decode").complaint


def test_both_entries_are_chosen_for_a_request(config: Path, fleet: Path, shoal: Any) -> None:
    asked = ("plan", config, fleet, "--minimize", "latency", "--answer", 8)
    told = shoal(*asked, "--json").json
    assert set(told) == {"prefill", "decode", "request"}
    request = told["request"]
    of_tokens_s = 8 * told["decode"]["token_alone_s"]
    assert request["seconds"] == pytest.approx(request["first_token_s"] + request["moved_s"] + of_tokens_s)
    assert "a request: first token after" in shoal(*asked, columns=100).out
    for more in ("--together", "--entry=decode"):
        assert "needed neither --entry nor --together" in shoal(*asked, more).err
    assert "a request has no such figure" in shoal("plan", config, fleet, "--answer", 8).err
