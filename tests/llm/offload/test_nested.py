"""Experts in bits that nest: answers of the matrices stood for, bytes of the planes asked for, faults told."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from mmap import mmap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal import catalog
from shoal.compress.nested_fit import TRUNCATED
from shoal.errors import InputError, LimitError, ModelError
from shoal.llm.experts import Handle, blocks, seen
from shoal.llm.modules import module
from shoal.llm.offload.bit_head import by_head
from shoal.llm.offload.bit_router import CLASSES, BitRouter, Even, Fixed, beside, by_weight, shares
from shoal.llm.offload.nested import NEST, Loading, in_bits, needs_of
from shoal.llm.offload.nested_records import (
    Copies,
    Experts,
    Layout,
    Planes,
    nested_experts,
    write_copies,
    write_planes,
)
from shoal.llm.routes import recorded
from shoal.llm.tiny import tiny
from shoal.plan.expert_loading import ORDERS
from shoal.sim.storage import replayed
from shoal.store import POLICIES, FileTier, Key, RoutingTrace, write_file
from shoal.store.values import Arrays
from shoal.train.language import corpus, stretches

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

NAMES = ("gate_up_proj", "down_proj")
ALL = 1 << 21  # bytes: everything


def eager(kind: str = "mixtral") -> Any:
    model = tiny(kind).module()
    model.set_experts_implementation("eager")
    return model


@lru_cache
def learned_symbols() -> Any:
    return stretches(corpus()[0][: 4 * 64 + 1], 64).x


@lru_cache
def experts() -> Experts:
    return nested_experts(eager(), learned_symbols(), TRUNCATED)


@lru_cache
def learned() -> RoutingTrace:
    return recorded(eager(), learned_symbols())


@pytest.fixture(scope="module")
def symbols() -> Any:
    return torch.from_numpy(stretches(corpus()[1][: 3 * 24 + 1], 24).x)


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "planes"
    write_planes(experts(), path)
    return path


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "copies"
    write_copies(experts(), path)
    return path


def read(model: Any, symbols: Any) -> Any:
    with torch.no_grad():
        return model(symbols, use_cache=False).logits


def rounded(model: Any, bits: int) -> Any:
    """The model in memory with what all codes of the width stand for."""
    handle = Handle()
    for place, block in enumerate(blocks(model)):
        stacks = (
            torch.from_numpy(
                np.stack([experts()[Key(place, each)][name].top(bits).matrix() for each in range(block.count)])
            )
            for name in NAMES
        )
        block.set(handle, *stacks)
    return model


@pytest.mark.parametrize("bits", [2, 3, 5, 8])
def test_answers_are_those_of_the_matrices_to_the_last_bit_in_any_order(
    bits: int, planes: Path, symbols: Any
) -> None:
    wanted = read(rounded(eager(), bits), symbols)
    for order in ORDERS:
        for budget_bytes in (1 << 16, ALL):
            out = in_bits(model := eager(), planes, Even(bits), Loading(budget_bytes, order))
            assert torch.equal(read(model, symbols), wanted)
            assert out.store.told().peak_bytes <= budget_bytes
            assert out.mean_bits == out.mean_brought_bits == bits
            out.undo()
            out.undo()
            assert torch.equal(read(model, symbols), read(rounded(eager(), 8), symbols))


def test_a_copy_for_each_width_answers_the_same(planes: Path, copies: Path, symbols: Any) -> None:
    router, answers = by_weight(learned()), []
    for path, layout in ((planes, Planes()), (copies, Copies())):
        out = in_bits(model := eager(), path, router, Loading(1 << 17), layout)
        answers.append(read(model, symbols))
        out.undo()
    assert torch.equal(*answers)


def test_bytes_read_are_those_of_the_planes_asked_for_and_upgrades_read_what_is_missing(
    planes: Path, symbols: Any
) -> None:
    out = in_bits(model := eager(), planes, by_weight(learned()), Loading(ALL, ahead=False))
    with out.classes(["low"] * 3):
        read(model, symbols)
    low = out.store.told()
    with out.classes(["high"] * 3):
        read(model, symbols)
    both = out.store.told()
    asked = {key for use in both.uses for key in use.keys}
    assert len(both.reads) == len(asked) == len({each.key for each in both.reads})
    assert {each.bytes for each in both.reads if not each.key.plane} == {8192}  # 6144 of codes, 1920 of scales
    assert {each.bytes for each in both.reads if each.key.plane} == {4096}
    assert both.peak_bytes == both.read_bytes > low.read_bytes
    for use in both.uses:
        assert [key.plane for key in use.keys] == list(range(len(use.keys)))
    out.undo()


def test_each_token_in_bits_of_its_own_does_not_depend_on_who_else_is_there(planes: Path, symbols: Any) -> None:
    classes = ("high", "normal", "low")
    out = in_bits(model := eager(), planes, by_weight(learned()), Loading(ALL, apart=True))
    with out.classes(classes):
        together = read(model, symbols)
    for row, name in enumerate(classes):
        with out.classes([name]):
            assert torch.allclose(read(model, symbols[row : row + 1])[0], together[row], atol=1e-4)
    with out.classes(classes[::-1]):
        assert not torch.allclose(read(model, symbols)[0], together[0], atol=1e-3)
    out.undo()


def test_a_step_brings_an_expert_in_the_most_bits_of_its_tokens() -> None:
    chosen, bits = np.array([[0, 1], [1, 2], [3, 1]]), np.array([[4, 2], [6, 3], [8, 3]])
    found = needs_of(5, chosen, bits, 3, Planes())
    assert [(need.part, need.tokens, most) for need, most in found] == [(0, 1, 4), (1, 3, 6), (2, 1, 3)]
    assert found[0][0].keys == (Key(5, 0), Key(5, 0, 1), Key(5, 0, 2))
    assert needs_of(5, chosen, bits, 3, Copies())[1][0].keys == (Key(5, 1, 6),)


def test_experts_of_most_tokens_come_first_and_the_next_layer_is_brought_ahead(planes: Path, symbols: Any) -> None:
    out = in_bits(model := eager(), planes, Even(4), Loading(ALL))
    read(model, symbols)
    told = out.store.told()
    first = [use.keys[0].part for use in told.uses if not use.keys[0].layer]
    loads = recorded(eager(), symbols.numpy()).loads()[0]
    reads = [each.key for each in told.reads if not each.key.layer]
    assert reads[:3] == [Key(0, int(loads.argmax()), plane) for plane in range(3)]
    assert sorted(first) == np.flatnonzero(loads).tolist()
    assert any(not each.demanded and each.key.layer for each in told.reads)
    out.undo()


@pytest.mark.parametrize("mean_bits", [2.5, 3, 4, 5.5, 7])
def test_thresholds_give_the_mean_bits_on_the_routes_they_learned_from(mean_bits: float) -> None:
    router = by_weight(learned(), {"normal": mean_bits})
    weights = torch.from_numpy(learned().weights)
    for place in range(4):
        found = router.bits(
            place, weights[:, place], weights[:, place], weights[:, place], ["normal"] * len(weights)
        )
        assert found.mean() == pytest.approx(mean_bits, abs=0.02)
        order = weights[:, place].numpy().ravel().argsort()
        assert (np.diff(found.ravel()[order]) >= 0).all()


def test_shares_of_widths_have_the_mean() -> None:
    for mean_bits in np.linspace(2, 8, 49):
        widths = beside(float(mean_bits))
        parts = shares(float(mean_bits), widths)
        assert min(parts) >= -1e-12
        assert sum(parts) == pytest.approx(1)
        assert float(np.dot(parts, widths)) == pytest.approx(mean_bits)
    with pytest.raises(InputError, match="no such mean of bits"):
        beside(8.5)


def test_heads_learn_where_bits_are_worth_it() -> None:
    """Of the layer's own error: less than with bits drawn at random of the same mean."""
    model = eager()
    router = by_head(model, learned_symbols(), experts(), {"high": 5.0, "normal": 4.0, "low": 3.0}, steps=60)
    again = by_head(model, learned_symbols(), experts(), {"high": 5.0, "normal": 4.0, "low": 3.0}, steps=60)
    assert all(torch.equal(a.weight, b.weight) for a, b in zip(router.heads, again.heads, strict=True))
    for place, met in enumerate(seen(model, learned_symbols())):
        means = [
            router.bits(place, met.inputs, met.chosen, met.weights, [name] * len(met.inputs)).mean()
            for name in ("high", "normal", "low")
        ]
        assert means == sorted(means, reverse=True)
        bits = router.bits(place, met.inputs, met.chosen, met.weights, ["normal"] * len(met.inputs))
        assert np.corrcoef(bits.ravel(), met.weights.numpy().ravel())[0, 1] > 0.1


def test_bits_fixed_to_experts_are_asked_for_whoever_comes() -> None:
    table = np.array([[2, 4], [8, 6]])
    found = Fixed(table).bits(
        1, torch.zeros(2, 1), torch.tensor([[0, 1], [1, 0]]), torch.zeros(2, 2), ["normal"] * 2
    )
    assert found.tolist() == [[8, 6], [6, 8]]
    assert Fixed(table).widths == (2, 4, 6, 8)


def test_a_record_replays_at_the_same_figures(planes: Path, symbols: Any) -> None:
    out = in_bits(model := eager(), planes, Even(3), Loading(1 << 17, read_bytes_per_s=4e7))
    read(model, symbols)
    told = out.store.told()
    out.undo()
    found = replayed(told, catalog.make(POLICIES, "coldest_plane"))
    assert [use.keys for use in found.uses] == [use.keys for use in told.uses]
    assert found.peak_bytes <= 1 << 17


def refused(path: Path, router: BitRouter, how: Loading, layout: Layout = NEST) -> None:
    in_bits(eager(), path, router, how, layout)


def changed(planes: Path, path: Path, key: Key, arrays: Arrays | None) -> Path:
    """The file with one record exchanged or left out."""
    tier = FileTier(planes)
    records = []
    for each, record in tier.records.items():
        held = memoryview(mmap(-1, record.bytes))
        tier.read(each, held)
        records.append((each, record.views(held)))
    tier.close()
    write_file(
        [(each, arrays if each == key and arrays else old) for each, old in records if each != key or arrays], path
    )
    return path


def test_what_is_missing_cut_off_or_of_another_model_is_refused(planes: Path, copies: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="a plane is missing in the store"):
        refused(changed(planes, tmp_path / "missing", Key(2, 3, 4), None), Even(2), Loading(ALL))
    short = {f"{name}|codes": np.zeros(9, np.uint8) for name in NAMES}
    with pytest.raises(ModelError, match="a plane is cut off, or of another model"):
        refused(changed(planes, tmp_path / "short", Key(2, 3, 4), short), Even(2), Loading(ALL))
    (tmp_path / "cut").write_bytes(planes.read_bytes()[:-1])
    with pytest.raises(ModelError, match="cut short"):
        refused(tmp_path / "cut", Even(2), Loading(ALL))
    with pytest.raises(ModelError, match="a plane is missing in the store"):
        refused(copies, Even(2), Loading(ALL))
    with pytest.raises(ModelError, match="or of another model"):
        in_bits(eager("experts16"), planes, Even(2), Loading(ALL))
    with pytest.raises(ModelError, match="no layer of the model has experts"):
        in_bits(tiny("llama").module(), planes, Even(2), Loading(ALL))


def test_what_is_damaged_is_told_where_the_model_is_asked(planes: Path, tmp_path: Path, symbols: Any) -> None:
    tier = FileTier(planes)
    tier.close()
    whole = bytearray(planes.read_bytes())
    for key, record in tier.records.items():
        if key.plane == 2:
            whole[record.offset] ^= 1
    (tmp_path / "damaged").write_bytes(whole)
    out = in_bits(model := eager(), tmp_path / "damaged", Even(4), Loading(ALL, ahead=False))
    with pytest.raises(ModelError, match="is not what was written"):
        read(model, symbols)
    (tmp_path / "damaged").write_bytes(planes.read_bytes())
    out.undo()


def test_what_cannot_be_served_is_refused_and_nothing_changes(planes: Path, copies: Path, symbols: Any) -> None:
    model = eager()
    wanted = read(model, symbols)
    enough = Loading(ALL)
    for router, how, layout, kind, message in (
        (Even(9), enough, Planes(), InputError, "these bits are not stored"),
        (Even(4), replace(enough, order="coldest"), Planes(), InputError, "no order of loading"),
        (
            Even(2),
            replace(enough, budget_bytes=2 * 8192 - 1),
            Planes(),
            LimitError,
            "first planes of one token's experts",
        ),
        (
            Even(8),
            replace(enough, budget_bytes=8192 + 6 * 4096 - 1),
            Planes(),
            LimitError,
            "one expert in most bits",
        ),
    ):
        with pytest.raises(kind, match=message):
            in_bits(model, planes, router, how, layout)
    for router, how in ((Even(5), enough), (Even(4), replace(enough, apart=True))):
        with pytest.raises(InputError, match=r"not stored|only bits that nest"):
            in_bits(model, copies, router, how, Copies())
    assert torch.equal(read(model, symbols), wanted)
    out = in_bits(model, planes, by_weight(learned()), enough)
    with out.classes(["urgent"]), pytest.raises(InputError, match="no class of requests is called 'urgent'"):
        read(model, symbols)
    with out.classes(["low"] * 5), pytest.raises(InputError, match="a class for each row"):
        read(model, symbols)
    with pytest.raises(InputError, match="do not learn"):
        model(symbols)
    out.undo()


def test_other_layouts_of_experts_are_refused(tmp_path: Path) -> None:
    small = {
        "model_type": "gpt_oss", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 2, "num_experts_per_tok": 2, "intermediate_size": 16, "head_dim": 16, "num_local_experts": 4,
        "layer_types": ["full_attention"] * 2, "bos_token_id": None, "eos_token_id": None, "pad_token_id": None,
    }  # fmt: skip
    write_planes(experts(), tmp_path / "planes")
    with pytest.raises(ModelError, match="stacked matrices without biases"):
        in_bits(module(small), tmp_path / "planes", Even(2), Loading(ALL))


def test_classes_are_named_from_the_one_that_needs_most() -> None:
    assert list(CLASSES.values()) == sorted(CLASSES.values(), reverse=True)
