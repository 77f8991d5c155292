"""Which bits leave first: by hand."""

from __future__ import annotations

import pytest

from shoal import catalog
from shoal.errors import InputError
from shoal.store import POLICIES, Keeper, Key, Policy

KEYS = [Key(layer, part, plane) for layer in range(3) for part in range(2) for plane in range(3)]


def keeper(used: list[Key]) -> Keeper:
    policy: Policy = catalog.make(POLICIES, "coldest_plane")
    found = policy.keeper(KEYS)
    for key in used:
        found.used(key)
    return found


def test_the_highest_plane_of_the_coldest_part_leaves_and_first_planes_last() -> None:
    found, among = keeper([Key(0, 0), Key(0, 0), Key(0, 1), Key(1, 0)]), [key for key in KEYS if key.layer == 0]
    order = []
    while among:
        order.append(found.victim(among))
        among.remove(order[-1])
    assert order == [Key(0, 1, 2), Key(0, 1, 1), Key(0, 0, 2), Key(0, 0, 1), Key(0, 1), Key(0, 0)]


def test_of_parts_used_alike_that_leaves_whose_layer_is_furthest() -> None:
    found = keeper([Key(at, 0) for at in (0, 1, 2, 0)] + [Key(at, 0) for at in (1, 2)])
    assert found.victim([Key(0, 0, 1), Key(1, 0, 1), Key(2, 0, 1)]) == Key(2, 0, 1)  # just used: a whole turn away


def test_what_the_layer_at_work_has_not_used_yet_stays() -> None:
    found = keeper([Key(1, 0), Key(1, 1), Key(0, 0), Key(0, 1), Key(1, 0)])
    assert found.victim([Key(1, 0, 1), Key(1, 1, 1)]) == Key(1, 0, 1)


def test_counts_fade_and_never_overflow() -> None:
    policy: Policy = catalog.make(POLICIES, "coldest_plane:decay=0.5")
    found = policy.keeper(KEYS)
    for _ in range(9):
        found.used(Key(0, 0))
    for _ in range(400):
        found.used(Key(0, 1))
    assert found.victim([Key(0, 0, 1), Key(0, 1, 1)]) == Key(0, 0, 1)
    with pytest.raises(InputError, match="a decay is"):
        catalog.make(POLICIES, "coldest_plane:decay=0")
