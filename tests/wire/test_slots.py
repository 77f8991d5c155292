"""The layout of slots, and taking, lending and giving back."""

from __future__ import annotations

import threading
import time
from itertools import pairwise

import numpy as np

from shoal.program import CLIENT, Edge, Program, TensorSpec
from shoal.wire.slots import lay_out, private_slots, thread_slots

SPEC = TensorSpec("float32", (3000,))
EDGES = (Edge("in", CLIENT, "a", "x", "x", SPEC, 3), Edge("out", "a", CLIENT, "y", "y", SPEC, 3))
PROGRAM = Program("p", ("a",), EDGES, (), (), 3, {})


def test_slots_are_page_aligned_and_do_not_overlap() -> None:
    places, size = lay_out(PROGRAM, (0, 1))
    spans = sorted(
        (place.start + index * place.stride_bytes, place.start + (index + 1) * place.stride_bytes)
        for place in places.values()
        for index in range(place.count)
    )
    assert all(start % 4096 == 0 for start, _ in spans)
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert spans[-1][1] == size
    assert [place.count for place in places.values()] == [4, 4]  # one more than the buffer


def test_slots_are_taken_lowest_first_and_run_out() -> None:
    slots = private_slots(PROGRAM, (0, 1))[1]
    assert [slots.take() for _ in range(5)] == [0, 1, 2, 3, -1]
    slots.give(2)
    slots.give(1)
    assert [slots.taken(slot) for slot in (-1, 0, 1, 4)] == [False, True, False, False]
    assert slots.take() == 1


def test_only_what_was_lent_is_claimed_and_only_once() -> None:
    slots = private_slots(PROGRAM, (0,))[0]
    assert slots.lend("float32", (4001,)) is None  # above the bound, even rounded up to pages
    lent = slots.lend("float32", (10, 3))
    assert lent is not None
    assert slots.claim(np.zeros(30, np.float32)) == -1
    assert slots.claim(lent[1:]) == -1
    assert slots.claim(lent) == 0
    assert slots.claim(lent) == -1
    assert np.shares_memory(lent, slots.view(0, "uint8", (12000,)))


def test_who_finds_no_slot_waits_for_one_for_a_while_or_until_closing() -> None:
    slots = thread_slots(PROGRAM, (0,))[0]
    for _ in range(4):
        slots.wait()
    began = time.monotonic()
    assert slots.wait(0.05) == -1
    assert time.monotonic() - began >= 0.05
    threading.Timer(0.05, slots.give, (3,)).start()
    assert slots.wait(5) == 3
    threading.Timer(0.05, slots.close).start()
    assert slots.wait() == -1
