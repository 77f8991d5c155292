"""Recorded selections on the hybrid-bonded machine: scaling keeps what was recorded, and every claim is answered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError
from shoal.kv.selections import Selections
from shoal.machines.hybrid_bonded import HybridBonded
from shoal.study import Finding, Shown
from shoal.study._h2eal_machine import MACHINE_CLAIMS, machine_findings
from shoal.study._h2eal_machine_scaled import Scaled, moved
from shoal.study._h2eal_machine_sweep import BALANCED, LLAMA_7B, LLAMA_8B, OWN, Decoder, Replay


def record(steps: int = 3, chosen: int = 16, dense: bool = False) -> Selections:
    """Two layers of four heads, every other one streaming; 2,048 tokens in pages of 16."""
    source = np.random.default_rng(0)
    streaming = np.array([[False, True] * 2] * 2)
    streaming[0] &= not dense
    held = 129

    def head(layer: int, at: int) -> np.ndarray:
        if streaming[layer, at]:
            return np.zeros(0, np.int64)
        if dense and layer == 0:
            return np.arange(held)
        starts = source.choice(held // 2 - 1, chosen // 2, replace=False) * 2 + 1
        return np.unique([0, held - 1, *starts, *(starts + 1)])

    return Selections(16, 2048, 2, 4, 8, streaming,
                      [[[head(layer, at) for at in range(4)] for layer in range(2)] for _ in range(steps)])  # fmt: skip


@given(st.data())
def test_moved_pages_are_as_many_as_wanted_and_all_different(data: st.DataObject) -> None:
    held = data.draw(st.integers(1, 60))
    pages = np.array(sorted(data.draw(st.sets(st.integers(0, held - 1), min_size=1))))
    to, count = data.draw(st.integers(1, 200)), data.draw(st.integers(1, 200))
    found = moved(pages, held, to, count)
    assert len(found) == min(count, to)
    assert (np.diff(found) > 0).all()
    assert 0 <= found[0] <= found[-1] < to
    assert moved(pages, held, held, len(pages)).tolist() == pages.tolist()


def test_moved_runs_stay_runs_at_their_place() -> None:
    assert moved(np.array([0, 5, 6, 9]), 10, 100, 4).tolist() == [0, 61, 62, 99]
    assert moved(np.array([0, 9]), 10, 100, 6).tolist() == [0, 1, 2, 97, 98, 99]


def test_a_layer_has_the_recorded_classes_and_budget() -> None:
    scaled = Scaled(record(), 8, 65_536)
    for layer in range(4):
        heads = scaled.layer(layer)
        assert sum(each.scored for each in heads) == 4
        assert {each.stored for each in heads if not each.scored} == {20}
        assert all(16 <= len(each.chosen) <= 18 for each in heads if each.scored)
    assert all(len(each.chosen) >= 64 for each in Scaled(record(), 8, 65_536, least=1024).layer(0) if each.scored)
    few = Scaled(record(), 32, 65_536, choosing=0.25).layer(0)
    assert sum(each.scored for each in few) == 8
    share = [len(each.chosen) for each in Scaled(record(), 8, 65_536, "share").layer(0) if each.scored]
    assert all(16 / 129 * 4096 - 1 <= count <= 18 / 129 * 4096 + 1 for count in share)


def test_layers_that_read_all_are_not_replayed_as_others() -> None:
    scaled = Scaled(record(dense=True), 8, 4096)
    assert scaled.dense == (0,)
    assert all(len(each.chosen) < each.stored for each in scaled.layer(0) if each.scored)
    replay = Replay(HybridBonded(), Decoder.of(LLAMA_8B, 16), 1)
    without = Replay(HybridBonded(), Decoder.of(LLAMA_8B, 16), 1).token(Scaled(record(), 8, 4096), (OWN, BALANCED))
    assert replay.token(scaled, (OWN, BALANCED)).speed(BALANCED) < without.speed(BALANCED)


def test_records_that_say_nothing_are_refused() -> None:
    with pytest.raises(InputError, match="without steps"):
        Scaled(record(steps=0), 8, 4096)
    with pytest.raises(InputError, match="no head chooses"):
        Scaled(Selections(16, 2048, 1, 1, 8, np.ones((1, 1), bool), [[[np.zeros(0, np.int64)]]]), 8, 4096)
    with pytest.raises(InputError, match="a share of heads out of range"):
        Scaled(record(), 8, 4096, choosing=1.5)
    all_read = [[[np.arange(129)] * 4] * 2]
    with pytest.raises(InputError, match="every layer reads all pages"):
        Scaled(Selections(16, 2048, 2, 4, 8, np.zeros((2, 4), bool), all_read), 8, 4096)


def test_decoders_by_hand() -> None:
    found = Decoder.of(LLAMA_7B, 16)
    assert (found.layers, found.kv_heads, found.shape.queries) == (32, 32, 1)
    assert found.weights_bytes == 2 * 6_738_415_616
    products = sum(inputs * outputs for inputs, outputs in found.products) * 32 + 4096 * 32000
    assert products == 6_738_415_616 - 32000 * 4096 - (2 * 32 + 1) * 4096
    assert Decoder.of(LLAMA_8B, 16).shape.queries == 4


@pytest.fixture(scope="module")
def shown() -> list[Shown]:
    return list(machine_findings(record(), quick=True))


def test_every_claim_is_answered_once(shown: list[Shown]) -> None:
    found = [each.key for each in shown if isinstance(each, Finding)]
    assert sorted(found) == sorted(claim.key for claim in MACHINE_CLAIMS)


@pytest.mark.parametrize("key", ["steps", "bytes", "identities", "capacity", "grows"])
def test_what_must_hold_holds(key: str, shown: list[Shown]) -> None:
    (found,) = [each for each in shown if isinstance(each, Finding) and each.key == f"machine_{key}"]
    assert found.obtained is True
