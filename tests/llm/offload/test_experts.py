"""Experts in a store: the same answers to the last bit, within the budget, given back whole; faults are told."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import InputError, LimitError, ModelError
from shoal.llm.modules import module
from shoal.llm.offload.experts import Budget, offload
from shoal.llm.offload.records import write_experts
from shoal.llm.routes import recorded
from shoal.llm.tiny import tiny
from shoal.store import POLICIES, PREDICTORS, Key, RoutingTrace, Told
from shoal.train.language import corpus, stretches

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

EXPERT = 3 * 128 * 64 * 4  # bytes, of "mixtral"
SMALL: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
    "num_experts_per_tok": 2, "intermediate_size": 16, "moe_intermediate_size": 16, "head_dim": 16,
    "bos_token_id": None, "eos_token_id": None, "pad_token_id": None,
}  # fmt: skip
KINDS = {
    "olmoe": {"num_experts": 6},
    "qwen3_moe": {"num_experts": 6},
    "gpt_oss": {"num_local_experts": 6, "layer_types": ["full_attention"] * 2},  # transposed, with biases
}


@pytest.fixture(scope="module")
def symbols() -> Any:
    return torch.from_numpy(stretches(corpus()[1][: 2 * 24 + 1], 24).x)


@pytest.fixture(scope="module")
def learned() -> RoutingTrace:
    return recorded(tiny("mixtral").module(), stretches(corpus()[0][: 4 * 64 + 1], 64).x)


def read(model: Any, symbols: Any) -> Any:
    """All at once."""
    with torch.no_grad():
        return model(symbols, use_cache=False).logits


def decoded(model: Any, symbols: Any) -> Any:
    """One token after another."""
    cache, logits = None, []
    with torch.no_grad():
        for at in range(symbols.shape[1]):
            given = model(symbols[:, at : at + 1], past_key_values=cache, use_cache=True)
            cache = given.past_key_values
            logits.append(given.logits)
    return torch.cat(logits, 1)


def eager(kind: str) -> Any:
    model = tiny(kind).module()
    model.set_experts_implementation("eager")
    return model


def answered(model: Any, path: Path, budget: Budget, symbols: Any, **known: Any) -> tuple[Any, Any, Told]:
    out = offload(model, path, budget, **known)
    try:
        return read(model, symbols), decoded(model, symbols[:1]), out.store.told()
    finally:
        out.undo()


def uses(told: Told) -> list[Key]:
    return [key for use in told.uses for key in use.keys]


@pytest.mark.parametrize("policy", catalog.names(POLICIES))
def test_every_policy_answers_as_the_model_in_memory_to_the_last_bit(
    policy: str, tmp_path: Path, symbols: Any, learned: RoutingTrace
) -> None:
    model = eager("mixtral")
    write_experts(model, tmp_path / "store")
    wanted = read(model, symbols), decoded(model, symbols[:1])
    known: dict[str, Any] = {"learned": learned}
    if policy == "oracle":
        known["uses"] = uses(answered(model, tmp_path / "store", Budget(5 * EXPERT), symbols)[2])
    for predictor in ("", "path_table"):
        *found, told = answered(model, tmp_path / "store", Budget(5 * EXPERT, policy, predictor), symbols, **known)
        assert all(map(torch.equal, found, wanted))
        assert told.peak_bytes <= 5 * EXPERT < 32 * EXPERT
        assert any(use.hits < len(use.keys) for use in told.uses)


@pytest.mark.parametrize("predictor", catalog.names(PREDICTORS))
def test_every_predictor_fetches_beforehand_and_changes_nothing(
    predictor: str, tmp_path: Path, symbols: Any, learned: RoutingTrace
) -> None:
    model = eager("mixtral")
    write_experts(model, tmp_path / "store")
    wanted = decoded(model, symbols[:1])
    _, found, told = answered(
        model, tmp_path / "store", Budget(8 * EXPERT, "lru", predictor), symbols, learned=learned
    )
    assert torch.equal(found, wanted)
    assert any(not each.demanded for each in told.reads)
    for use in told.uses:
        assert {key.layer for key in use.then or ()} == (
            {use.keys[0].layer + 1} if use.keys[0].layer < 3 else set()
        )


@pytest.mark.parametrize("kind", KINDS)
def test_other_families_answer_to_the_last_bit_too(kind: str, tmp_path: Path, symbols: Any) -> None:
    model = module({**SMALL, **KINDS[kind], "model_type": kind}, seed=3)
    with torch.no_grad():
        for each in model.parameters():
            each.add_(torch.randn(each.shape, generator=torch.Generator().manual_seed(each.numel())), alpha=0.1)
    model.set_experts_implementation("eager")
    write_experts(model, tmp_path / "store")
    wanted, before = read(model, symbols % 64), {name: each.clone() for name, each in model.state_dict().items()}
    out = offload(model, tmp_path / "store", Budget(4 * 16384))
    assert torch.equal(read(model, symbols % 64), wanted)
    out.undo()
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())


def test_shared_experts_and_dense_layers_stay_where_they_are(tmp_path: Path, symbols: Any) -> None:
    model = eager("deepseek_v3")
    wanted = read(model, symbols)
    index = write_experts(model, tmp_path / "store")
    assert {each.key.layer for each in index.records} == set(range(len({each.key.layer for each in index.records})))
    budget = Budget(6 * max(each.bytes for each in index.records))
    found, _, told = answered(model, tmp_path / "store", budget, symbols)
    assert torch.equal(found, wanted)
    assert told.read_bytes


def test_the_usual_grouped_products_differ_by_rounding_only(tmp_path: Path, symbols: Any) -> None:
    model = tiny("mixtral").module()
    assert model.config._experts_implementation == "grouped_mm"
    write_experts(model, tmp_path / "store")
    wanted = read(model, symbols)
    found, *_ = answered(model, tmp_path / "store", Budget(5 * EXPERT), symbols)
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    assert model.config._experts_implementation == "grouped_mm"


def test_memory_is_given_back_and_undoing_brings_all_of_it(tmp_path: Path, symbols: Any) -> None:
    model = eager("mixtral")
    write_experts(model, tmp_path / "store")
    wanted = read(model, symbols)
    before = {name: each.clone() for name, each in model.state_dict().items()}
    places = {name: id(each) for name, each in model.named_parameters()}
    storages = [weakref.ref(layer.mlp.experts.gate_up_proj.untyped_storage()) for layer in model.model.layers]
    out = offload(model, tmp_path / "store", Budget(4 * EXPERT))
    gc.collect()
    experts = model.model.layers[0].mlp.experts
    assert experts.gate_up_proj.shape == (8, 128, 128)
    assert experts.gate_up_proj.untyped_storage().nbytes() == 4
    assert torch.isnan(experts.gate_up_proj).all()  # whoever goes past the store computes nothing
    assert not any(each() for each in storages)
    out.undo()
    out.undo()
    assert {name: id(each) for name, each in model.named_parameters()} == places
    assert all(torch.equal(each, before[name]) for name, each in model.state_dict().items())
    assert vars(experts).keys() == vars(eager("mixtral").model.layers[0].mlp.experts).keys()
    assert torch.equal(read(model, symbols), wanted)


def test_more_experts_at_once_than_fit_go_group_by_group(tmp_path: Path, symbols: Any) -> None:
    """Reading 48 bytes at once needs all eight experts of a layer; two fit."""
    model = eager("mixtral")
    write_experts(model, tmp_path / "store")
    wanted = read(model, symbols)
    found, _, told = answered(model, tmp_path / "store", Budget(2 * EXPERT), symbols)
    assert torch.equal(found, wanted)
    assert told.peak_bytes <= 2 * EXPERT
    assert max(len(use.keys) for use in told.uses) == 2


def test_pinned_experts_are_read_once(tmp_path: Path, symbols: Any) -> None:
    model = eager("mixtral")
    write_experts(model, tmp_path / "store")
    pinned = tuple(Key(layer, expert) for layer in range(4) for expert in (1, 6))
    _, _, told = answered(model, tmp_path / "store", Budget(10 * EXPERT, "lru", pinned=pinned), symbols)
    assert all(sum(read.key == key for read in told.reads) == 1 for key in pinned)
    assert told.peak_bytes <= 10 * EXPERT


def test_codes_answer_as_the_matrices_they_stand_for(tmp_path: Path, symbols: Any) -> None:
    from shoal.llm.experts._blocks import blocks
    from shoal.llm.experts._coded import set_coded
    from shoal.llm.experts._handle import Handle

    model, handle = eager("mixtral"), Handle()
    names = ["int8", "int4", "int2", "int4", "int8", "int2", "int2", "int4"]
    coded = {Key(layer, expert): name for layer in range(4) for expert, name in enumerate(names)}
    index = write_experts(model, tmp_path / "store", coded)
    for block in blocks(model):
        set_coded(handle, block, names)
    wanted = read(model, symbols)
    handle.undo()
    found, *_ = answered(model, tmp_path / "store", Budget(1 << 17), symbols)
    assert torch.equal(found, wanted)
    assert sum(each.bytes for each in index.records) < 0.25 * 32 * EXPERT
    assert torch.equal(read(model, symbols), wanted)  # undoing brings what the codes stand for


@pytest.mark.serial
def test_the_next_layer_is_read_while_this_one_works(tmp_path: Path, symbols: Any, learned: RoutingTrace) -> None:
    """On the store's own timeline: reads that nobody waits for fall beside the waiting, not into it."""
    model = eager("mixtral")
    write_experts(model, tmp_path / "store")
    budget = Budget(16 * EXPERT, "distance", "next_router", read_bytes_per_s=EXPERT / 2e-4)
    *_, told = answered(model, tmp_path / "store", budget, symbols, learned=learned)
    waits = [(use.asked_s, use.ready_s) for use in told.uses]
    beside = [
        read for read in told.reads
        if not read.demanded and not any(a < read.ended_s and read.begun_s < b for a, b in waits)
    ]  # fmt: skip
    assert len(beside) > len(told.reads) / 10


def test_too_small_a_budget_is_refused_and_nothing_changes(tmp_path: Path, symbols: Any) -> None:
    model = eager("mixtral")
    write_experts(model, tmp_path / "store")
    wanted = read(model, symbols)
    for budget in (Budget(2 * EXPERT - 1), Budget(3 * EXPERT, pinned=(Key(0), Key(1)))):
        with pytest.raises(LimitError, match="what one token needs of one layer") as found:
            offload(model, tmp_path / "store", budget)
        assert f"{budget.budget_bytes}" in str(found.value.message)
    assert torch.equal(read(model, symbols), wanted)


def test_damage_and_loss_reach_who_asks_the_model(tmp_path: Path, symbols: Any) -> None:
    path, model = tmp_path / "store", eager("mixtral")
    index = write_experts(model, path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(ModelError, match="cut short"):
        offload(model, path, Budget(4 * EXPERT))
    damaged = bytearray(whole)
    for record in index.records:
        damaged[record.offset + 11] ^= 1
    path.write_bytes(damaged)
    out = offload(model, path, Budget(4 * EXPERT))
    with pytest.raises(ModelError, match="is not what was written"):
        read(model, symbols)
    path.write_bytes(whole)
    out.undo()
    assert torch.isfinite(read(model, symbols)).all()


def test_what_does_not_fit_the_model_is_refused(tmp_path: Path, symbols: Any, learned: RoutingTrace) -> None:
    model, path = eager("mixtral"), tmp_path / "store"
    with pytest.raises(ModelError, match="no layer of the model has experts"):
        write_experts(tiny("llama").module(), path)
    write_experts(model, path)
    with pytest.raises(ModelError, match="no layer of the model has experts"):
        offload(tiny("llama").module(), path, Budget(4 * EXPERT))
    with pytest.raises(ModelError, match="of another model"):
        offload(eager("experts16"), path, Budget(4 * EXPERT))
    with pytest.raises(InputError, match="learns from routes"):
        offload(model, path, Budget(4 * EXPERT, predictor="path_table"))
    with pytest.raises(InputError, match="routes are of another model"):
        offload(model, path, Budget(4 * EXPERT, predictor="path_table"),
                recorded(tiny("experts16").module(), symbols.numpy()))  # fmt: skip
    with pytest.raises(InputError, match="all uses"):
        offload(model, path, Budget(4 * EXPERT, "oracle"))
    with pytest.raises(InputError, match="can be pinned"):
        offload(model, path, Budget(4 * EXPERT, pinned=(Key(7, 7),)))
    assert np.isfinite(read(model, symbols).numpy()).all()


def test_a_gradient_is_refused(tmp_path: Path, symbols: Any) -> None:
    model = eager("mixtral")
    write_experts(model, tmp_path / "store")
    out = offload(model, tmp_path / "store", Budget(4 * EXPERT))
    with pytest.raises(InputError, match="do not learn"):
        model(symbols)
    out.undo()
