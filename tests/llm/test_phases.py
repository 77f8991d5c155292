"""Entries of a language model on machines that are not here: whole, they cost what the machine's own formulas say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shoal.errors import ModelError, PlanError
from shoal.fleet import Fleet, loads
from shoal.llm import architecture
from shoal.llm.phases import ternary_decoder
from shoal.llm.planning import plan_entry, sharing
from shoal.machines.accelerators.tellme import Tellme
from shoal.machines.accelerators.tereffic import Tereffic
from shoal.machines.ternary_models import (
    BITNET_700M,
    MATMUL_FREE_2700M,
    TernaryDecoder,
    decode,
    decoding,
    prefill,
    prompting,
)
from shoal.plan import Objective, Wishes
from shoal.run.simulated import simulated
from tests.llm import configs

BITNET: dict[str, Any] = {
    "model_type": "llama", "vocab_size": 32000, "hidden_size": 1536, "intermediate_size": 4096,
    "num_hidden_layers": 24, "num_attention_heads": 24, "max_position_embeddings": 2048, "tie_word_embeddings": True,
}  # fmt: skip
RECURRENT: dict[str, Any] = {
    "model_type": "matmul_free", "vocab_size": 32000, "hidden_size": 2560, "intermediate_size": 6912,
    "num_hidden_layers": 32, "max_position_embeddings": 2048, "tie_word_embeddings": False,
}  # fmt: skip
LATENCY = Wishes(objective=Objective(("latency",)))


def fleet(**boards: str) -> Fleet:
    text = "".join(f'[devices.{name}]\nboard = "{board}"\n' for name, board in boards.items())
    return loads(text + '[default_link]\nbandwidth = "10 Gbit/s"\nlatency = "50 us"\n')


def written(folder: Path, entries: dict[str, Any]) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(entries))
    return path


def test_a_configuration_gives_the_published_sizes() -> None:
    found = ternary_decoder(architecture(BITNET), "tern3x5t")
    assert found == TernaryDecoder("llama", 1536, 24, 4096, 32_000, heads=24, tied=True)
    assert found.ternary_weights == BITNET_700M.ternary_weights
    recurrent = ternary_decoder(architecture(RECURRENT), "tern5x8t")
    assert recurrent.ternary_weights == MATMUL_FREE_2700M.ternary_weights
    assert architecture(RECURRENT).parameters == recurrent.ternary_weights + recurrent.ends_weights + 65 * 2560


@pytest.mark.parametrize(
    ("entries", "weights", "told"),
    [
        (BITNET, "float16", "not ternary with one scale for a matrix.*had float16"),
        (BITNET, "tern5x8", "not ternary with one scale for a matrix"),
        (BITNET | {"num_key_value_heads": 8}, "tern5x8t", r"layers.0: no formula for such a layer.*kv_heads=8"),
        (configs.MIXTRAL_8X7B, "tern5x8t", "no formula for such a layer"),
    ],
)
def test_what_engines_have_no_formula_for_is_named(entries: dict[str, Any], weights: str, told: str) -> None:
    with pytest.raises(ModelError, match=told):
        ternary_decoder(architecture(entries), weights)


def test_an_engine_alone_takes_what_its_formulas_say(tmp_path: Path) -> None:
    path, machines = written(tmp_path, BITNET), fleet(fpga="kv260-ternary")
    alone = Wishes(objective=Objective(("latency",)), exclude=("fpga/cpu",))
    wanted = {
        "prefill:tokens=64": prefill(Tellme(), BITNET_700M, 64),
        "decode:context=129": decode(Tellme(), BITNET_700M, 128),
    }
    for entry, phase in wanted.items():
        plan = plan_entry(path, f"{entry},weights=tern3x5t", machines, alone).plan
        assert plan.prediction.alone_latency_s == pytest.approx(phase.seconds, rel=1e-9)
        assert simulated(plan, 4).alone_latency_s == pytest.approx(phase.seconds, rel=1e-9)
        (estimate,) = plan.estimates.values()  # its static power is the board's idle one
        assert estimate.joules + 3.5 * estimate.seconds == pytest.approx(phase.joules, rel=1e-9)


def test_a_head_in_pieces_is_no_quicker(tmp_path: Path) -> None:
    path, machines = written(tmp_path, BITNET), fleet(fpga="kv260-ternary")
    alone = Wishes(exclude=("fpga/cpu",))
    one, four = (
        plan_entry(path, f"decode:weights=tern3x5t,heads={heads}", machines, alone).plan for heads in (1, 4)
    )
    assert four.prediction.period_s == pytest.approx(one.prediction.period_s)


def test_cards_hold_the_layers_and_a_host_both_ends(tmp_path: Path) -> None:
    path, machines = written(tmp_path, RECURRENT), fleet(card="alveo-u280-ternary", host="raspberry-pi-5-8gb")
    card = Tereffic(weights="hbm", cards=1)
    wanted = {
        "decode:context=64": decoding(card, MATMUL_FREE_2700M).token_s,
        "prefill:tokens=64": prompting(card, MATMUL_FREE_2700M, 64).token_s,
    }
    for entry, seconds in wanted.items():
        plan = plan_entry(path, f"{entry},weights=tern5x8t", machines, LATENCY).plan
        assert {plan.owners["embedding"], plan.owners["head"]} == {"host/cpu"}
        assert {unit for name, unit in plan.owners.items() if name.startswith("layers.")} == {"card/core"}
        (on_card,) = (each for name, each in plan.estimates.items() if plan.segment_units[name] == "card/core")
        assert on_card.seconds == pytest.approx(seconds, rel=1e-9)
    with pytest.raises(PlanError, match="no unit for the block 'embedding'"):
        plan_entry(path, "decode:weights=tern5x8t", fleet(card="alveo-u280-ternary"), Wishes())


def test_a_machine_without_a_formula_takes_no_part_and_says_why(tmp_path: Path) -> None:
    path, alone = written(tmp_path, BITNET), fleet(fpga="kv260-ternary")
    found = plan_entry(path, "decode", alone, Wishes())
    assert found.plan.units == ("fpga/cpu",)
    assert any(note.startswith("without fpga/engine: llama: the weights are not ternary") for note in found.notes)
    with pytest.raises(PlanError, match=r"no unit for the block 'embedding'.*not ternary"):
        plan_entry(path, "decode", alone, Wishes(exclude=("fpga/cpu",)))
    with pytest.raises(PlanError, match=r"several sequences at once \(needed --batch 1, had 4\)"):
        plan_entry(path, "decode:batch=4,context=64,weights=tern3x5t", alone, Wishes(exclude=("fpga/cpu",)))
    with pytest.raises(PlanError, match="tereffic: no unit for attention"):
        plan_entry(path, "decode:weights=tern5x8t", fleet(card="alveo-u280-ternary"), Wishes())


def test_a_unit_without_an_engine_of_ours_hides_no_other() -> None:
    assert sharing(fleet(laptop="laptop-i7-1165g7")) == ()  # its graphics processor is quicker, and has none
