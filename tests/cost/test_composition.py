"""Machines for whole experts: by hand, and what cannot be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.cost.composition import (
    Expert,
    Machine,
    Requests,
    answered,
    machine,
    machines,
    machines_for,
    resident,
    switch_s,
    token_s,
)
from shoal.errors import InputError, LimitError

TOY = Machine("toy", 2, 100.0, 10.0, 40, 400.0, 5.0)  # 80 bytes of fast memory, 200 flop/s, 20 B/s
TEN = Expert(10, 1)


def test_by_hand() -> None:
    assert (switch_s(TOY, TEN), resident(TOY, TEN), resident(TOY, TEN, 35.0)) == (2.0, 8, 4)
    assert token_s(TOY, TEN) == 0.5  # reading ten bytes, longer than 20 flop
    assert token_s(TOY, TEN, 100) == 10.0  # 2,000 flop
    found = answered(TOY, TEN, Requests(4, 2, 100, 6, 0.5), router=TEN)
    assert (found.router_s, found.switch_s, found.execute_s) == (40.0, 2.0, 4 * (10.0 + 3.0))
    assert found.seconds == 94.0
    assert machines_for(TOY, TEN, 41, copied=True) == 2
    assert machines_for(TOY, TEN, 41, 35.0, copied=False) == 11


def test_copying_ahead_leaves_what_an_answer_does_not_cover() -> None:
    short = Requests(4, 4, 0, 1)
    assert answered(TOY, TEN, short).switch_s == 8.0
    assert answered(TOY, TEN, short, prefetch=True).switch_s == 2.0 + 3 * 1.5
    assert answered(TOY, TEN, Requests(4, 4, 0, 4), prefetch=True).switch_s == 2.0


@given(st.floats(0, 1), st.integers(1, 500), st.integers(1, 16))
def test_more_hits_and_copying_ahead_never_take_longer(hit: float, tokens: int, prompts: int) -> None:
    asked = Requests(prompts, prompts, 10, tokens, hit)
    for on in machines().values():
        plain, ahead = answered(on, Expert(), asked), answered(on, Expert(), asked, prefetch=True)
        assert ahead.switch_s <= plain.switch_s * (1 + 1e-12)
        assert plain.seconds <= answered(on, Expert(), Requests(prompts, prompts, 10, tokens)).seconds * (1 + 1e-12)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(LimitError, match="larger than the fast memory"):
        switch_s(machine("sn40l"), Expert(1e12))
    with pytest.raises(InputError, match="no machine for whole experts is called 'sn40'") as found:
        machine("sn40")
    assert "sn40l" in (found.value.hint or "")
    for wrong in ({"hit_rate": 1.5}, {"distinct": 9}, {"out_tokens": 0}):
        with pytest.raises(InputError):
            Requests(**wrong)  # type: ignore[arg-type]
