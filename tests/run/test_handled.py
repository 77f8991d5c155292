"""The constants of workers: found again where they are known, and measured on real workers."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.cost import Handling, Traffic
from shoal.run import handled
from shoal.run.handled import TOYS, Row, Toy, _fitted, _Profiled, _spent

constants = st.builds(
    Handling,
    *[st.floats(min_value=1e-5, max_value=1e-3)] * 3,
    *[st.floats(min_value=1e-11, max_value=1e-8)] * 2,
    st.floats(min_value=0.0, max_value=1.0),
)


def rows(truth: Handling) -> list[Row]:
    """What the toys would tell if those constants were the whole truth."""
    found = []
    for toy in TOYS:
        copied = toy.readers * toy.elements * 4 if toy.readers > 1 else 0
        ops_s = 5e-4 * toy.layers + 1e-5
        passed = 800_000 if toy.passed else 64 * toy.wide
        for around in (Traffic(1, toy.wide * toy.readers, copied, passed), Traffic(toy.wide, 1, 0, passed)):
            row = (1.0, *map(float, astuple(around)), ops_s)
            seconds = toy.turns * truth.seconds(ops_s, around)
            found.append((tuple(toy.turns * each for each in row), seconds))
    return found


@given(constants)
def test_constants_are_found_again(truth: Handling) -> None:
    assert astuple(_fitted(rows(truth))) == pytest.approx(astuple(truth), rel=1e-6, abs=1e-12)


def test_seconds_below_those_of_the_ops_are_no_reason_for_constants_below_zero() -> None:
    found = [(row, -1e-3) for row, _ in rows(Handling(1e-3))]
    assert _fitted(found) == Handling()


def test_a_toy_through_real_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handled, "ITEMS", 8)
    toy = _Profiled.of(Toy(wide=3, readers=2, layers=1), tmp_path / "toy.onnx")
    (first, *others) = _spent(toy, "shm")
    image, made = 4 * 128 * 14 * 14, 3 * 16 * 4
    assert first[0][:5] == (1.0, 1.0, 6.0, 2 * made, image + made)
    assert [row[:5] for row, _ in others] == [(1.0, 3.0, 1.0, 0.0, made + 4)] * 2
    assert all(np.isfinite(seconds) and seconds > 0 for _, seconds in (first, *others))


def test_turns_have_segments_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handled, "ITEMS", 4)
    toy = _Profiled.of(Toy(turns=3), tmp_path / "toy.onnx")
    first, second = _spent(toy, "shm")
    assert first[0][:4] == second[0][:4] == (3.0, 3.0, 3.0, 0.0)
