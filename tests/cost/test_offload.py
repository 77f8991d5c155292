"""Formulas of memory and bandwidth give the published numbers, and their inverses are inverses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.cost.offload import (
    Transformer,
    bandwidth_for,
    checkpoints_intensity,
    efficiency,
    owner_s,
    partitioned_s,
    states_intensity,
    weights_intensity,
)
from shoal.errors import InputError

PEAK = 70e12  # flop/s that a V100 obtains, as the paper has it
TRILLION = Transformer(128, 25600)


def test_a_trillion_parameters_as_published() -> None:
    assert TRILLION.parameters == pytest.approx(1e12, rel=0.01)
    assert TRILLION.states_bytes == pytest.approx(20e12, rel=0.01)  # 18.31 TiB of states
    assert TRILLION.states_bytes / 2**40 == pytest.approx(18.31, rel=0.01)
    assert TRILLION.checkpoints_bytes(32, 1024) / 2**40 == pytest.approx(0.2, rel=0.05)


def test_bandwidths_as_published() -> None:
    assert efficiency(weights_intensity(1, 1024), 70e9, PEAK) == pytest.approx(0.5, abs=0.01)
    assert bandwidth_for(0.9, states_intensity(2, 1024), PEAK) == pytest.approx(
        1.23e12, rel=0.01
    )  # "up to 1.5 TB/s"
    assert efficiency(checkpoints_intensity(2048), 2e9, PEAK) > 0.5


@given(st.floats(0.01, 0.99), st.floats(1, 1e6), st.floats(1e6, 1e15))
def test_a_share_needs_the_bandwidth_that_gives_it(share: float, intensity: float, peak: float) -> None:
    assert efficiency(intensity, bandwidth_for(share, intensity, peak), peak) == pytest.approx(share)


def test_parts_are_read_as_many_times_quicker_as_there_are_workers() -> None:
    assert owner_s(1e9, 1e9, 1e12) / partitioned_s(1e9, 4, 1e9, 1e12) == pytest.approx(4, rel=0.01)
    assert partitioned_s(1e9, 1, 1e9, 1e12) == 1.0


def test_what_has_no_answer_is_refused() -> None:
    for call in (lambda: efficiency(0, 1, 1), lambda: bandwidth_for(1.0, 1, 1), lambda: Transformer(0, 1)):
        with pytest.raises(InputError):
            call()
