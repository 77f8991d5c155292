"""Where tensors lie: rows in blocks of equal non-zeros; elements of vectors at the place that uses them most."""

from __future__ import annotations

import numpy as np

from shoal.machines.nexus._sparse import Ints

SLACK = 1.1  # of the mean load, up to which a place takes what it uses most


def blocks(weights: Ints, room: Ints) -> Ints:
    """The place of each row: consecutive rows, equal sums of weights, at most `room` rows at a place.

    Rows that do not fit behind one another go where room is left, the lightest place first; there must be room for all.
    """
    places = np.full(len(weights), -1, np.int64)
    held, load = np.zeros_like(room), np.zeros(len(room))
    place, left = 0, float(weights.sum())
    goal = left / len(room)
    for row, weight in enumerate(weights.tolist()):
        while place < len(room) and (
            held[place] == room[place] or (held[place] and load[place] + weight / 2 > goal)
        ):
            place += 1
            goal = left / max(1, len(room) - place)
        if place == len(room):
            break
        places[row] = place
        held[place] += 1
        load[place] += weight
        left -= weight
    for row in np.flatnonzero(places < 0).tolist():
        lightest = int(np.argmin(np.where(held < room, load, np.inf)))
        places[row] = lightest
        held[lightest] += 1
        load[lightest] += weights[row]
    return places


def by_users(users: Ints, weights: Ints, room: Ints) -> Ints:
    """The place of each element: where most of its users are, as long as that place is not loaded above the mean.

    Args:
        users: (elements, places), how many of an element's users are where.
        weights: words of each element.
        room: words of each place; there must be room for all.
    """
    load = np.zeros(len(room))
    left = room.astype(np.int64).copy()
    most = SLACK * users.sum() / len(room)
    found = np.zeros(len(users), np.int64)
    uses = users.sum(axis=1)
    for element in np.lexsort((-uses, -weights)):
        fits = left >= weights[element]
        free = fits & (load + uses[element] <= most)
        wish = np.where(free, users[element] - load / max(1.0, most), -np.inf)
        place = int(np.argmax(wish)) if free.any() else int(np.argmin(np.where(fits, load, np.inf)))
        found[element] = place
        left[place] -= weights[element]
        load[place] += uses[element]
    return found


def used_by(element: Ints, place: Ints, elements: int, places: int) -> Ints:
    """How often each element is used from each place."""
    return np.bincount(element * places + place, minlength=elements * places).reshape(elements, places)
