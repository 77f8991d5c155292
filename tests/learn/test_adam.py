"""Adam is torch's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.errors import InputError
from shoal.learn.adam import Adam

torch = pytest.importorskip("torch")


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 1000), scale=st.sampled_from([1e-6, 1.0, 1e3]), rate=st.sampled_from([1e-4, 1e-2]),
    beta1=st.sampled_from([0.0, 0.9]), beta2=st.sampled_from([0.9, 0.999]),
)  # fmt: skip
def test_steps_are_those_of_torch(seed: int, scale: float, rate: float, beta1: float, beta2: float) -> None:
    source = np.random.default_rng(seed)
    weight = source.standard_normal(50).astype(np.float32)
    theirs = torch.nn.Parameter(torch.from_numpy(weight.copy()))
    optimiser = torch.optim.Adam([theirs], rate, (beta1, beta2), foreach=False)
    mean, square = np.zeros_like(weight), np.zeros_like(weight)
    for step in range(1, 9):
        gradient = (scale * source.standard_normal(50)).astype(np.float32)
        gradient[:3] = 0
        Adam(rate, beta1, beta2).update(weight, gradient, mean, square, step)
        theirs.grad = torch.from_numpy(gradient.copy())
        optimiser.step()
    np.testing.assert_allclose(weight, theirs.detach().numpy(), rtol=1e-6, atol=1e-7)


def test_a_part_is_changed_as_in_the_whole() -> None:
    source = np.random.default_rng(1)
    arrays = np.abs(source.standard_normal((4, 100))).astype(np.float32)
    whole, parts = arrays.copy(), arrays.copy()
    Adam().update(*whole, step=3)
    for begin, end in ((0, 7), (7, 60), (60, 100)):
        Adam().update(*parts[:, begin:end], step=3)
    np.testing.assert_array_equal(whole, parts)


def test_figures_that_do_not_work_are_refused() -> None:
    for wrong in ({"rate": 0.0}, {"beta1": 1.0}, {"beta2": -0.1}, {"epsilon": 0.0}):
        with pytest.raises(InputError, match="adam: rates and epsilon are above zero"):
            Adam(**wrong)
