"""Reading, waiting and computing along time: by hand, and as a real store had it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.report.trace import write_spans
from shoal.store import POLICIES, Key, MemoryTier, Read, TensorStore, Throttled, TierFigures, Told, Use
from shoal.store.timeline import computed, spans, waits

TIER = TierFigures("disk", 1e6, energy_j_per_byte=2e-9, energy_source="a test")


def used(at: int, asked_s: float, ready_s: float, ended_s: float, hits: int = 0) -> Use:
    return Use((Key(at),), asked_s, ready_s, ended_s, hits, 0)


TOLD = Told(
    TIER, 100, ((Key(0), 50), (Key(1), 50)),
    (used(0, 1, 3, 8), used(1, 4, 6, 7), used(0, 8, 8, 10, hits=1), used(2, 5, 6.5, 7)),  # the second lies in the first
    (Read(Key(0), 50, 1, 3, True), Read(Key(1), 50, 3, 6, False)),
)  # fmt: skip


def test_by_hand() -> None:
    assert waits(TOLD) == ((1, 3), (4, 6.5))
    assert computed(TOLD) == ((3, 4), (6.5, 10))
    found = [(each.unit, each.name, each.start_s, each.end_s) for each in spans(TOLD, (2, 7))]
    assert found == [
        ("weights/computing", "computing", 3, 4), ("weights/computing", "computing", 6.5, 7),
        ("weights/waiting", "0", 2, 3), ("weights/waiting", "1", 4, 6.5),
        ("weights/reading", "0", 2, 3), ("weights/reading", "1", 3, 6),
    ]  # fmt: skip
    assert sum(each.joules for each in spans(TOLD)) == pytest.approx(TOLD.read_j) == pytest.approx(2e-7)
    assert spans(Told(TIER, 1, ())) == ()


def test_as_a_store_had_it(tmp_path: Path) -> None:
    tier = Throttled(MemoryTier((Key(at), {"w": np.zeros(1 << 12, np.uint8)}) for at in range(4)), (1 << 12) / 0.02)
    with TensorStore(tier, 2 << 12, catalog.make(POLICIES, "cyclic")) as store:
        for at in range(4):
            with store.hold([Key(at)], [Key((at + 1) % 4)]):
                time.sleep(0.01)
        told = store.told()
    waited_s = sum(end - begin for begin, end in waits(told))
    assert waited_s == pytest.approx(told.stall_s, rel=0.01)
    assert waited_s + sum(end - begin for begin, end in computed(told)) == pytest.approx(told.seconds)
    write_spans(spans(told), tmp_path / "trace.json", {"model": "toy"})
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    rows = {each["args"]["name"] for each in events if each["name"] == "thread_name"}
    assert {"computing", "waiting", "reading"} <= rows
    assert sum(each["args"].get("bytes", 0) for each in events) == told.read_bytes
