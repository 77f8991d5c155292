"""What arrives."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from shoal.errors import InputError
from shoal.program import Item, Workload


def test_when_items_arrive() -> None:
    assert Workload(3).arrivals_s() == (0.0, 0.0, 0.0)
    assert Workload(3, "rate", rate_items_per_s=4).arrivals_s() == (0.0, 0.25, 0.5)
    assert Workload(2, "trace", times_s=(0.0, 7.0)).arrivals_s() == (0.0, 7.0)


def test_poisson_arrivals_have_their_rate_and_follow_the_seed() -> None:
    def times(seed: int) -> tuple[float, ...]:
        return Workload(4001, "rate", rate_items_per_s=50, poisson=True, seed=seed).arrivals_s()

    assert times(1) == times(1) != times(2)
    assert times(1)[0] == 0.0
    assert times(1)[-1] / 4000 == pytest.approx(1 / 50, rel=0.05)
    gaps = sorted(after - before for before, after in pairwise(times(1)))
    assert gaps[2000] == pytest.approx(math.log(2) / 50, rel=0.1)  # the median of an exponential


def test_kinds_take_turns() -> None:
    workload = Workload(5, pattern=(Item("prefill"), Item("decode", 3)))
    assert [workload.item(number).entry for number in range(3)] == ["prefill", "decode", "prefill"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Workload(0), "at least one item"),
        (lambda: Workload(1, window=0), "a window of at least one"),
        (lambda: Workload(1, pattern=()), "at least one kind"),
        (lambda: Workload(1, "rate"), r"above zero.*had 0.0 items/s"),
        (lambda: Workload(1, "rate", rate_items_per_s=-2), "above zero"),
        (lambda: Workload(1, "rate", rate_items_per_s=math.nan), "above zero"),
        (lambda: Workload(1, "rate", rate_items_per_s=math.inf), "finite"),
        (lambda: Workload(2, "trace", times_s=(1.0,)), "one time per item.*needed 2, had 1"),
        (lambda: Workload(2, "trace", times_s=(1.0, 0.5)), "item 1.*never go back.*at least 1.0 s, had 0.5 s"),
        (lambda: Workload(1, "trace", times_s=(-1.0,)), "item 0.*zero or later"),
        (lambda: Workload(1, "trace", times_s=(math.nan,)), "item 0"),
    ],
)
def test_it_refuses(make: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()  # type: ignore[operator]
