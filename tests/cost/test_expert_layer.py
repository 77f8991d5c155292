"""Time and bytes of a layer of experts, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.cost.expert_layer import Accelerator, ExpertShape, layer_cost
from shoal.errors import InputError

SHAPE = ExpertShape(
    experts=4, per_token=1, width=10, hidden=5, weight_bytes=2, value_bytes=2
)  # 300 B, 300 operations
DEVICE = Accelerator(flops_per_s=1000, share=0.5, memory_bytes_per_s=1e9, link_bytes_per_s=100, link_s=1, launch_s=0, half_rows=10)  # fmt: skip
NATIVE = np.array([0, 0, 1, 1])
NONE = np.zeros((0, 3), np.int64)


def test_a_layer_by_hand() -> None:
    """Device 0 has 30 tokens for expert 0 and 10 for expert 2, device 1 has 20 for expert 0."""
    counts = np.array([[30, 0, 10, 0], [20, 0, 0, 0]])
    chunks = np.array([[0, 0, 0, 50], [2, 1, 0, 10]])
    found = layer_cost(SHAPE, DEVICE, counts, chunks, NATIVE, NONE)
    assert found.sending_s == found.returning_s == 1 + 20 * 20 / 100
    assert found.compute_s.tolist() == [60 * 300 / 500, 20 * 300 / 500]
    assert found.bytes.tolist() == [50 * 30 + 600, 10 * 30 + 600]
    assert found.seconds == 5 + 36 + 5


def test_what_moves_is_sent_and_held() -> None:
    """Of expert 0's 50 copies the last 25 go to device 1: 5 of device 0's and all of device 1's, and the weights."""
    counts = np.array([[30, 0, 10, 0], [20, 0, 0, 0]])
    chunks = np.array([[0, 0, 0, 25], [0, 1, 25, 50], [2, 1, 0, 10]])
    found = layer_cost(SHAPE, DEVICE, counts, chunks, NATIVE, np.array([[0, 0, 1]]))
    assert found.sending_s == 1 + ((5 + 10) * 20 + 300) / 100
    assert found.returning_s == 1 + 15 * 20 / 100
    assert found.compute_s.tolist() == [35 * 300 / 500, (35 + 20) * 300 / 500]
    assert found.bytes.tolist() == [25 * 30 + 600, 35 * 30 + 900]


def test_few_rows_take_as_long_as_reading_the_weights() -> None:
    slow = Accelerator(flops_per_s=1e9, memory_bytes_per_s=100, launch_s=1, half_rows=0)
    assert slow.expert_s(np.array([0.0, 1.0]), SHAPE).tolist() == [0.0, 3 + 3.0]


def test_nothing_is_sent_where_all_stay_at_home() -> None:
    counts = np.array([[5, 0, 0, 0], [0, 0, 0, 5]])
    found = layer_cost(SHAPE, DEVICE, counts, np.array([[0, 0, 0, 5], [3, 1, 0, 5]]), NATIVE, NONE)
    assert found.sending_s == found.returning_s == 0


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match=r"chunks are not all copies .needed 5, had 4"):
        layer_cost(SHAPE, DEVICE, np.array([[5, 0, 0, 0], [0, 0, 0, 0]]), np.array([[0, 0, 0, 4]]), NATIVE, NONE)
    with pytest.raises(InputError, match="rates above zero"):
        Accelerator(link_bytes_per_s=0)
