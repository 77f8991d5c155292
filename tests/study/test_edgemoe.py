"""The parts of the study of EdgeMoE: replayed bounds, overlap by hand, bits at the same bytes, memory from outside."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.llm.experts._widths import lowered, trial
from shoal.llm.tiny import tiny
from shoal.store import Key, Read, TierFigures, Told, Use
from shoal.study import _edgemoe_bits as bits
from shoal.study import _edgemoe_memory as memory
from shoal.study._edgemoe_guess import recalls
from shoal.study._edgemoe_runs import Engine, lab, overlapped, reads_by_policy, uses_of

pytest.importorskip("torch")
pytest.importorskip("transformers")

TIER = TierFigures("disk", 1000.0)


def told(layers: list[set[int]], slots: int) -> Told:
    """One token after another through two layers of five experts."""
    uses = tuple(
        Use(tuple(Key(at % 2, each) for each in sorted(chosen)), float(at), float(at), at + 0.5, 0, 0)
        for at, chosen in enumerate(layers)
    )
    return Told(
        TIER, slots * 4096, tuple((Key(layer, each), 4096) for layer in range(2) for each in range(5)), uses
    )


def fewest(layers: list[set[int]], slots: int) -> int:
    """Reads of the best there is: every choice tried."""
    states: dict[frozenset[Key], int] = {frozenset(): 0}
    for at, chosen in enumerate(layers):
        wanted = frozenset(Key(at % 2, each) for each in chosen)
        after: dict[frozenset[Key], int] = {}
        for held, reads in states.items():
            for kept in _kept(held - wanted, slots - len(wanted)):
                state = kept | wanted
                after[state] = min(after.get(state, 10**9), reads + len(wanted - held))
        states = after
    return min(states.values())


def _kept(held: frozenset[Key], most: int) -> list[frozenset[Key]]:
    return [frozenset(each) for each in combinations(sorted(held), min(most, len(held)))]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sets(st.integers(0, 4), min_size=1, max_size=2), min_size=1, max_size=12), st.integers(2, 5))
def test_no_policy_reads_fewer_than_the_oracle_and_nothing_fewer_than_that(
    layers: list[set[int]], slots: int
) -> None:
    found = reads_by_policy(told(layers, slots))
    assert found["oracle"] == min(found.values()) == fewest(layers, slots)


def test_overlap_by_hand() -> None:
    uses = (Use((Key(0),), 0.0, 1.0, 2.0, 0, 0), Use((Key(1),), 3.0, 3.5, 4.0, 0, 1))
    reads = (Read(Key(0), 9, 0.0, 1.0, True), Read(Key(1), 9, 1.5, 3.5, False))
    assert overlapped(Told(TIER, 0, (), uses, reads)) == pytest.approx(0.75)
    assert overlapped(Told(TIER, 0, (), uses, reads[:1])) == 0


def test_engines_give_one_text_and_keep_their_memory(tmp_path: Path) -> None:
    made = lab("mixtral", 4, 6, tmp_path)
    wanted = made.ran(Engine("memory", memory=True), np.inf).logits
    for engine, share in ((Engine("demand"), 2), (Engine("pinned", 16, pinned=True), 16),
                          (Engine("own", 16, policy="distance", predictor="path_table"), 16)):  # fmt: skip
        ran = made.ran(engine, np.inf)
        assert bool((ran.logits == wanted).all())
        assert ran.told is not None
        assert ran.told.peak_bytes <= share * made.file()[1]
        assert len(uses_of(ran.told)) == 6 * 4 * 2
    coded = made.ran(Engine("int4", form="int4"), np.inf)
    assert 0 < float((coded.logits - wanted).abs().max()) < 5


def test_recall_of_random_is_what_drawing_gives() -> None:
    found = recalls("mixtral", 4, 4)
    assert found["random"] == pytest.approx([0.25] * 3, abs=0.06)
    assert np.mean(found["next_router"]) > np.mean(found["random"])


@pytest.mark.parametrize("width", bits.EVEN)
def test_bits_are_compared_at_the_same_bytes(width: int) -> None:
    symbols = np.random.default_rng(0).integers(0, 256, (1, 8))
    with trial(tiny("mixtral").module(), symbols) as tried:
        found = bits.fitting(tried, tried.experts, width)
        most = tried.bits(dict.fromkeys(tried.experts, width))
        steps = list(lowered(tried.experts, 1))
        assert tried.bits(found) <= most < tried.bits(steps[steps.index(dict(found)) - 1])


def test_memory_of_a_process_is_told_from_outside(tmp_path: Path) -> None:
    whole, rest = memory.peaks_bytes(tmp_path, 2 * memory.EXPERT)
    assert whole > memory.EXPERTS
    assert whole - rest > 0.7 * (memory.EXPERTS - 2 * memory.EXPERT)
