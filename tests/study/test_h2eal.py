"""The study of H2EAL: what is exact, bytes by formula, recall by policies, pages for the machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from shoal.kv.policies.full import Full
from shoal.kv.policies.hybrid import Hybrid
from shoal.kv.policies.streaming import Streaming
from shoal.llm.attention import Gates
from shoal.llm.tiny import tiny
from shoal.study import _h2eal_exact as exact
from shoal.study._bench import Bench
from shoal.study._h2eal_recall import Memory
from shoal.train.language import corpus


@pytest.fixture(scope="module")
def memory() -> Memory:
    return Memory(Bench(Path(), 0, lambda _: None), texts=4, page=8, share=0.25, gate_texts=2, gate_steps=1)


def test_bytes_are_those_of_the_formulas() -> None:
    text = corpus()[1][:140].astype(np.int64)
    off = exact.bytes_off(tiny("llama").module("sdpa"), text, 120)
    assert set(off) >= {"full", "pages", "hybrid", "int4"}
    assert max(off.values()) < 1e-9


def test_tiles_bounds_and_refusals() -> None:
    assert exact.tiles_off(100, 3, 0) < 1e-5
    holds, count = exact.bounds_hold(tiny("llama").module("sdpa"), corpus()[1][:60].astype(np.int64), 8, 0)
    assert holds
    assert count >= 4 * 6 * 60
    assert all(exact.refusals().values())


def test_pages_remember_what_streaming_forgets(memory: Memory) -> None:
    full, ends = memory.recall(Full()), memory.recall(Streaming(4, 100))
    pages = memory.recall(Hybrid(page=8, budget=120, sink=4, recent=28, dense=0))
    assert full.share > 90
    assert pages.share > full.share - 10
    assert ends.share < 60
    assert ends.read < pages.read < 0.5 * full.read


def test_pages_are_recorded_for_the_machine(memory: Memory) -> None:
    memory.__dict__["learned"] = Gates(np.linspace(0, 1, 16, dtype=np.float32).reshape(2, 8)[::-1].copy())
    found = memory.recorded(500, 3)
    assert (found.context, found.layers, found.kv_heads, found.head, len(found.steps)) == (500, 2, 8, 16, 3)
    assert found.streaming.sum() == 8
    assert all(len(pages) == 7 for step in found.steps for pages in step[0])
