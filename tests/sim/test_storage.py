"""A store's life in simulated time: by hand, and as the real one had it."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import InputError
from shoal.sim.storage import replayed
from shoal.store import (
    POLICIES,
    FileTier,
    Key,
    Policy,
    Preload,
    TensorStore,
    Throttled,
    TierFigures,
    Told,
    Use,
    write_file,
)

SIZE, LAYERS = 1 << 16, 4
KEYS = [Key(at) for at in range(LAYERS)]
SIZES = tuple((key, SIZE) for key in KEYS)
SECOND = TierFigures("disk", SIZE, 0.0)  # a record a second
CYCLIC: Policy = catalog.make(POLICIES, "cyclic")


def used(key: Key, asked_s: float, ready_s: float, ended_s: float) -> Use:
    return Use((key,), asked_s, ready_s, ended_s, 0, 0)


def test_by_hand_without_preloads_reading_and_work_take_turns() -> None:
    uses = tuple(used(key, 3 * at, 3 * at + 1, 3 * at + 3) for at, key in enumerate(KEYS))
    found = replayed(Told(SECOND, 2 * SIZE, SIZES, uses), CYCLIC)
    assert [(each.asked_s, each.ready_s, each.ended_s) for each in found.uses] == [
        (3 * at, 3 * at + 1, 3 * at + 3) for at in range(4)
    ]
    assert (found.seconds, found.stall_s, found.read_bytes, found.hit_rate) == (12, 4, 4 * SIZE, 0)
    assert found.peak_bytes == 2 * SIZE
    quicker = replayed(Told(SECOND, 2 * SIZE, SIZES, uses), CYCLIC, TierFigures("flash", 4 * SIZE, 0.25))
    assert (quicker.seconds, quicker.stall_s) == (10, 2)  # half a second each


def test_by_hand_preloads_hide_what_work_covers() -> None:
    uses = tuple(used(key, 3 * at, 3 * at + 1, 3 * at + 3) for at, key in enumerate(KEYS))
    early = tuple(Preload((KEYS[at + 1],), 3 * at + 1, 0, True) for at in range(3))
    told = Told(SECOND, 2 * SIZE, SIZES, uses, (), early)
    found = replayed(told, CYCLIC)
    assert (found.seconds, found.stall_s, found.hit_rate) == (
        9,
        1,
        3 / 4,
    )  # two seconds of work cover one of reading
    slow = replayed(told, CYCLIC, TierFigures("tape", SIZE / 5))
    assert slow.seconds == 5 + 3 * 5 + 2  # reading is what takes long
    assert slow.late_rate == 3 / 4


def test_by_hand_what_follows_is_read_behind_what_is_used() -> None:
    uses = tuple(
        replace(used(key, 3 * at, 3 * at + 1, 3 * at + 3), then=(KEYS[at + 1],) if at < 3 else ())
        for at, key in enumerate(KEYS)
    )
    found = replayed(Told(SECOND, 2 * SIZE, SIZES, uses), CYCLIC)
    assert [(each.begun_s, each.demanded) for each in found.reads] == [
        (0, True),
        (1, False),
        (3, False),
        (5, False),
    ]
    assert (found.seconds, found.hit_rate) == (9, 3 / 4)


def test_by_hand_a_use_within_another_ends_before_it() -> None:
    first, *inner = used(KEYS[0], 0, 1, 7), used(KEYS[1], 1, 2, 3), used(KEYS[2], 3, 4, 5), used(KEYS[0], 5, 5, 6)
    told = Told(SECOND, 2 * SIZE, SIZES, (*inner, first))  # as the store notes them: as they end
    found = replayed(told, CYCLIC)
    times = {(each.keys, each.asked_s, each.ready_s, each.ended_s) for each in found.uses}
    assert times == {(each.keys, each.asked_s, each.ready_s, each.ended_s) for each in told.uses}
    assert found.read_bytes == 3 * SIZE  # the first one stayed: it was in use


def test_a_larger_budget_never_reads_more() -> None:
    uses = tuple(used(KEYS[at % LAYERS], 3 * at, 3 * at + 1, 3 * at + 3) for at in range(12))
    told = Told(SECOND, SIZE, SIZES, uses)
    reads = [len(replayed(told, CYCLIC, budget_bytes=room * SIZE).reads) for room in (1, 2, 3, 4)]
    assert reads == [12, 9, 6, 4]  # LAYERS and budget: as the oracle of the policies' contract


def test_what_cannot_be_replayed_is_refused() -> None:
    with pytest.raises(InputError, match="nothing was used"):
        replayed(Told(SECOND, SIZE, SIZES), CYCLIC)
    with pytest.raises(InputError, match="several users"):
        replayed(Told(SECOND, 2 * SIZE, SIZES, (used(KEYS[0], 0, 5, 9), used(KEYS[1], 2, 6, 7))), CYCLIC)


@pytest.mark.serial
@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_the_real_store_takes_what_its_replay_says(tmp_path: Path, ahead: int) -> None:
    layers, rounds, rate = 8, 3, SIZE / 0.02
    keys = [Key(at) for at in range(layers)]
    write_file([(key, {"w": np.zeros(SIZE, np.uint8)}) for key in keys], tmp_path / "store")

    def run(tier: Throttled) -> Told:
        with TensorStore(tier, 4 * SIZE, CYCLIC) as store:
            for at in range(rounds * layers):
                with store.hold([keys[at % layers]]):
                    store.preload([keys[(at + each) % layers] for each in range(1, ahead + 1)], instead=True)
                    time.sleep(0.015)
            return store.told()

    slow = run(Throttled(FileTier(tmp_path / "store"), rate))
    assert replayed(slow, CYCLIC).seconds == pytest.approx(slow.seconds, rel=0.1)
    quick = run(Throttled(FileTier(tmp_path / "store"), 4 * rate))
    said = replayed(slow, CYCLIC, replace(slow.tier, read_bytes_per_s=4 * rate))
    assert said.seconds == pytest.approx(quick.seconds, rel=0.15)
    assert said.read_bytes == pytest.approx(quick.read_bytes, rel=0.1)
