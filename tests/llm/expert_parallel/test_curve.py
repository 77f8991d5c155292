"""An expert measured here."""

from __future__ import annotations

import pytest

from shoal.errors import InputError
from shoal.llm.expert_parallel.curve import TOKENS, Sizes, measured_curve, seconds_of


def test_a_curve_of_this_machine_rises() -> None:
    found = measured_curve(64, 32)
    assert found.tokens == TOKENS
    assert found.seconds[-1] > 4 * found.seconds[0]
    assert list(found.seconds) == sorted(found.seconds)


@pytest.mark.serial
def test_weights_come_from_memory_so_that_few_tokens_are_not_cheap() -> None:
    one, eight = seconds_of(Sizes(512, 1024), (1, 8))
    assert eight < 6 * one


def test_an_activation_that_nobody_knows_is_refused() -> None:
    with pytest.raises(InputError, match="do not know this activation"):
        measured_curve(64, 32, "swish2")
