from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from shoal.errors import InputError
from shoal.search import Cooling, anneal

Tour = tuple[int, ...]


def cities(seed: int, count: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 2))


def length(places: np.ndarray, tour: Tour) -> float:
    return float(np.linalg.norm(places[list(tour)] - places[list(tour[1:] + tour[:1])], axis=1).sum())


def turned(rng: np.random.Generator, tour: Tour) -> Tour:
    first, last = sorted(rng.integers(0, len(tour) + 1, 2).tolist())
    return tour[:first] + tour[first:last][::-1] + tour[last:]


@pytest.mark.parametrize("seed", range(5))
def test_the_shortest_tour_is_found(seed: int) -> None:
    places = cities(seed)
    shortest = min(length(places, (0, *rest)) for rest in permutations(range(1, 8)))
    found = anneal(
        tuple(range(8)), turned, lambda tour: length(places, tour), Cooling(3000), np.random.default_rng(0)
    )
    assert found.cost == pytest.approx(shortest)
    assert found.cost == length(places, found.best)
    assert len(found.trace) == 3000
    assert np.std(found.trace[:300]) > 3 * np.std(found.trace[-300:])  # it has cooled


def hilly(place: int) -> float:
    """Least at 60, behind hills higher than any single step."""
    return abs(place - 60) / 10 + 2 * np.sin(place / 3) ** 2


def step(rng: np.random.Generator, place: int) -> int:
    return place + int(rng.integers(-4, 5))


def test_hills_are_climbed_that_stop_a_cold_walk() -> None:
    best = min(hilly(place) for place in range(100))
    warm = anneal(0, step, hilly, Cooling(8000), np.random.default_rng(1))
    cold = anneal(0, step, hilly, Cooling(8000, first=1e-9), np.random.default_rng(1))
    assert warm.cost == pytest.approx(best)
    assert cold.cost > best + 1
    assert (np.diff(cold.trace) <= 0).all()


def test_it_is_one_function_of_its_arguments_and_keeps_its_budget() -> None:
    asked: list[int] = []

    def cost(place: int) -> float:
        asked.append(place)
        return hilly(place)

    one, other = (anneal(0, step, cost, Cooling(200), np.random.default_rng(3)) for _ in range(2))
    assert one == other
    assert len(asked) == 2 * 201


def test_no_steps_no_hills_and_bad_cooling() -> None:
    assert anneal(7, step, hilly, Cooling(0), np.random.default_rng(0)).best == 7
    assert anneal(7, step, lambda _: 1.0, Cooling(50), np.random.default_rng(0)).cost == 1.0
    for wrong in ({"steps": -1}, {"steps": 5, "ratio": 0.0}, {"steps": 5, "first": -1.0}):
        with pytest.raises(InputError, match="does not cool"):
            Cooling(**wrong)
