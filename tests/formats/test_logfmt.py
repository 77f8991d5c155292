"""LogFMT: zeros stay, ends come back, what is far below the largest is cut, rounding is of the values themselves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shoal.errors import InputError
from shoal.formats import Coded, make, quantise, restored

FINITE = st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)


def back(values: np.ndarray, name: str = "logfmt8") -> np.ndarray:
    form = make(name)
    return restored(form, quantise(form, values))


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.float32, (2, 64), elements=FINITE), st.sampled_from(["logfmt8g64", "logfmt4g32"]))
def test_zeros_signs_and_the_largest_stay(values: np.ndarray, name: str) -> None:
    found = back(values, name)
    assert (found[values == 0] == 0).all()
    assert (np.sign(found) * np.sign(values) >= 0).all()
    np.testing.assert_allclose(np.abs(found).max(), np.abs(values).max(), rtol=1e-6)
    group = np.abs(values[:, :32]).astype(np.float64)
    if group.any() and group.max() / group[group > 0].min() <= 2.0**32 and name == "logfmt4g32":
        at = np.where(group > 0, group, np.inf).argmin()
        np.testing.assert_allclose(np.abs(found[:, :32]).flat[at], group.flat[at], rtol=1e-6)


def test_steps_are_equal_in_the_logarithm() -> None:
    values = np.zeros((1, 128), np.float32)
    values[0, :2] = 2.0**-9, 2.0**5
    form = make("logfmt4")
    params = form.fit(values)
    there = form.decode(np.arange(15, dtype=np.uint8)[None], params)[0]
    np.testing.assert_allclose(there[8:], np.geomspace(2.0**-9, 2.0**5, 7), rtol=1e-6)
    np.testing.assert_allclose(there[:7], -there[:7:-1], rtol=1e-6)
    assert there[7] == 0


def test_rounding_is_of_values_not_of_logarithms() -> None:
    """Between 1 and 4 the middle of the logarithms is 2, that of the values 2.5."""
    values = np.ones((1, 128), np.float32)
    values[0, :5] = 1, 4.0**6, 2.4, 2.6, -2.4
    found = back(values, "logfmt4")[0]
    np.testing.assert_allclose(found[2:5], [1, 4, -1], rtol=1e-6)


def test_what_is_far_below_the_largest_is_cut() -> None:
    values = np.zeros((1, 128), np.float32)
    values[0, :4] = 1.0, 2.0**-32, 2.0**-32.5, 2.0**-40
    found = back(values)[0]
    np.testing.assert_allclose(found[:3], [1, 2.0**-32, 2.0**-32], rtol=1e-6)
    assert found[3] == 0


def test_memory_holds_sign_and_step() -> None:
    form, values = make("logfmt8"), np.zeros((1, 128), np.float32)
    values[0, :4] = 0.5, -0.5, 8, -8
    streams = form.pack(quantise(form, values))
    assert streams["codes"][:6].tolist() == [1, 129, 127, 255, 0, 0]
    assert sum(each.size for each in streams.values()) == 128 + 8
    broken = {**streams, "codes": np.full(128, 128, np.uint8)}
    with pytest.raises(InputError, match="a zero with a sign"):
        form.unpack(broken, (1, 128))
    with pytest.raises(InputError, match="a code that the format"):
        form.pack(Coded(np.full((1, 128), 255, np.uint8), form.fit(values)))


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="so many bits"):
        make("logfmt:bits=9")
    with pytest.raises(InputError, match="do not divide"):
        quantise(make("logfmt8"), np.ones((2, 100), np.float32))
