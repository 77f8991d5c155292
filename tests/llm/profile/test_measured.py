"""Latency, memory and shares, measured in processes of their own."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from shoal.errors import InputError
from shoal.llm.profile import Point, Protocol, Subject, Trial, breakdown, longest, memory, peaks, sweep
from tests.llm import models

LONG = {"max_position_embeddings": 1 << 16}
LLAMA = Subject("llama", models.LLAMA | LONG)
WIDE = {"hidden_size": 64, "mamba_n_heads": 2, "mamba_d_head": 64, "mamba_d_state": 64}
BAMBA = Subject("bamba", models.BAMBA | WIDE | LONG, scan=64)


def test_models_take_turns_and_what_does_not_fit_is_told() -> None:
    points = (Point(64), Point(512, batch=2), Point(32_768))
    found = sweep([LLAMA, BAMBA], points, Protocol(repeats=2, steps=3, limit_bytes=40_000_000))
    assert [(each.subject, each.point) for each in found] == [
        (subject.name, point) for point in points for subject in (LLAMA, BAMBA)
    ]
    for each in found[:4]:
        assert each.prefill is not None
        assert each.decode is not None
        assert (each.prefill.repeats, each.decode.repeats) == (2, 6)
        assert each.prefill_j > 0 < each.decode_j
    for each in found[4:]:
        assert (each.prefill, each.fault.partition(":")[0]) == (None, "does not fit")


def test_memory_is_as_predicted_and_its_limit_is_kept() -> None:
    limit_bytes, trials = 60_000_000, []
    for subject in (LLAMA, BAMBA):
        most = longest(subject, limit_bytes)
        trials += [Trial(subject, Point(round(share * most)), limit_bytes) for share in (0.85, 1.15)]
    trials += [Trial(subject, Point(4096)) for subject in (BAMBA, LLAMA)]
    *sides, bamba, llama = peaks(trials)
    assert [each.fault.partition(":")[0] for each in sides] == ["", "does not fit"] * 2
    for subject, free in ((BAMBA, bamba), (LLAMA, llama)):
        assert free.peak_bytes == pytest.approx(memory(subject, free.point).bytes, rel=0.15)
        assert free.cache_bytes == subject.architecture.cache_bytes(4097, 4)


@pytest.mark.serial
def test_shares_add_up_to_the_whole() -> None:
    found = breakdown([LLAMA, BAMBA], [Point(1024)] * 3)
    for kind in (LLAMA.name, BAMBA.name):
        own = [each for each in found if each.subject == kind]
        sums = [sum(each.percent.values()) for each in own]
        # what is lost is lost each time, a pause between two clocks is not
        assert min(abs(each - 100) for each in sums) < 2
        assert all(each.percent["gemm"] > 0 < each.percent["attention"] for each in own)
        assert all((each.scan > 0) == (kind == BAMBA.name) for each in own)


def test_a_prompt_longer_than_its_positions_is_refused_before_anything_runs() -> None:
    for measure in (lambda: sweep([LLAMA], [Point(1 << 17)]), lambda: breakdown([LLAMA], [Point(1 << 17)])):
        with pytest.raises(InputError, match="positions"):
            measure()
