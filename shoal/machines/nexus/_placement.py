"""Where tensors lie: rows in blocks of equal non-zeros; elements of vectors at the place that uses them most, then swapped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.machines.nexus._sparse import Floats, Ints

LINKS = 4  # of a place
LEAST = 1e-9  # by which a swap has to lower the cost
ROUNDS = 4  # of swapping, at most
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


def swapped(found: Ints, users: Ints, weights: Ints, room: Ints, columns: int) -> Ints:
    """The same places after swaps of two elements, or of one and room that is left, that each lower the placement's cost.

    Args:
        found: the place of each element.
        users: (elements, places), how many of an element's users are where.
        weights: words of each element.
        room: words of each place.
        columns: of the array.
    """
    uses, count = users.sum(axis=1), len(room)
    swaps = _Swaps(
        found.copy(), users @ _ways(count, columns), uses, weights, np.bincount(found, uses, count).astype(np.float64),
        room - np.bincount(found, weights, count).astype(np.int64),
    )  # fmt: skip
    for _ in range(ROUNDS):
        if not sum(swaps.swap(element) for element in np.argsort(-uses, kind="stable").tolist()):
            break
    return swaps.places


def placement_cost(places: Ints, users: Ints, columns: int) -> float:
    """Cycles of the memory that is asked most, and those in which all links of a mesh carry every use once."""
    count = users.shape[1]
    load = np.bincount(places, users.sum(axis=1), count)
    hops = (users @ _ways(count, columns))[np.arange(len(places)), places].sum()
    return float(load.max() + hops / (LINKS * count))


@dataclass(eq=False)
class _Swaps:
    """A placement that is being changed."""

    places: Ints
    hops: Ints  # (elements, places): of all users of an element, if it is there
    uses: Ints
    weights: Ints
    load: Floats  # of places: uses
    left: Ints  # of places: words

    def swap(self, element: int) -> bool:
        """The swap of an element that lowers the cost most, if one does: with another, or with room that is left."""
        here, count = int(self.places[element]), len(self.load)
        there = np.concatenate([self.places, np.arange(count)])
        come = np.append(self.hops[:, here] - self.hops[np.arange(len(self.places)), self.places], np.zeros(count))
        use = self.uses[element] - np.append(self.uses, np.zeros(count))
        size = self.weights[element] - np.append(self.weights, np.zeros(count, np.int64))
        fullest = np.maximum(self._others(here)[there], np.maximum(self.load[here] - use, self.load[there] + use))
        ways = self.hops[element, there] - self.hops[element, here] + come
        change = fullest - self.load.max() + ways / (LINKS * count)
        fits = (there != here) & (self.left[here] + size >= 0) & (self.left[there] >= size)
        best = int(np.argmin(np.where(fits, change, 0.0)))
        if not fits[best] or change[best] > -LEAST:
            return False
        if best < len(self.places):
            self.places[best] = here
        self.places[element] = there[best]
        for place, sign in ((here, -1), (there[best], 1)):
            self.load[place] += sign * use[best]
            self.left[place] -= sign * size[best]
        return True

    def _others(self, here: int) -> Floats:
        """Of each place the most uses of a place that is neither it nor `here`."""
        rest = np.where(np.arange(len(self.load)) == here, 0.0, self.load)
        second, most = np.sort(np.append(rest, 0.0))[-2:]
        return np.asarray(np.where(rest == most, second, most), np.float64)


def _ways(count: int, columns: int) -> Ints:
    """Hops from place to place of a mesh."""
    down, across = np.divmod(np.arange(count), columns)
    return np.asarray(np.abs(down[:, None] - down) + np.abs(across[:, None] - across), np.int64)
