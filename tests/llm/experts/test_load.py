"""Statistics of routers, against figures by hand."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.llm.experts import load_of, mutual_bits


def test_statistics_by_hand() -> None:
    even = load_of(np.arange(8).reshape(4, 2), 8)
    assert (even.imbalance, even.entropy_bits, even.gini) == pytest.approx((1.0, 3.0, 0.0), abs=1e-12)
    one = load_of(np.zeros((5, 1), np.int64), 4)
    assert (one.imbalance, one.entropy_bits, one.gini) == pytest.approx((4.0, 0.0, 0.75))
    some = load_of(np.array([[0], [0], [0], [1]]), 2)
    assert (some.imbalance, some.gini) == pytest.approx((1.5, 0.25))
    assert some.entropy_bits == pytest.approx(0.8112781)


def test_information_of_the_next_layer() -> None:
    first = np.arange(64) % 4
    assert mutual_bits(first, (first + 1) % 4, 4) == pytest.approx(2.0)
    assert mutual_bits(first, np.arange(64) // 4 % 4, 4) == pytest.approx(0.0, abs=1e-12)
