"""Counts that fade are in the proportions of counts that are shrunk each time."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.store.fading import Fading


@pytest.mark.parametrize("decay", [1.0, 0.99, 0.5])
def test_proportions_are_those_of_shrinking_all_counts_however_long_it_goes_on(decay: float) -> None:
    source, found, wanted = np.random.default_rng(1), Fading[int](), np.zeros(5)
    for _ in range(50_000 if decay < 1 else 2_000):  # long past where a float ends
        names = source.choice(5, 2, replace=False).tolist()
        found.add(names, decay)
        wanted *= decay
        wanted[names] += 1
    counts = np.array([found.counts[each] for each in range(5)])
    np.testing.assert_allclose(counts / counts.sum(), wanted / wanted.sum(), rtol=1e-9)
