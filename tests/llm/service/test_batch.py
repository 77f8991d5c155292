"""Continuous batching: every sequence gets its tokens in order, whatever the order of requests, answers and losses."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.errors import InputError
from shoal.llm.service import Room
from shoal.llm.service import batch as batching
from shoal.llm.service.batch import Batch, Sequence, Step


class Cache:
    """Rows as the workers keep them: what was written where, and whether a step reads only what its sequence wrote."""

    def __init__(self, rows: int) -> None:
        self.rows: list[dict[int, int]] = [{} for _ in range(rows)]

    def run(self, step: Step) -> dict[int, tuple[int, ...]]:
        """What each sequence that is to go on has seen."""
        seen = {}
        for at, (tokens, last) in enumerate(zip(step.tokens, step.last, strict=True)):
            row = self.rows[step.first + at]
            for place, token in zip(range(last - len(tokens) + 1, last + 1), tokens, strict=True):
                row[place] = token
            name = step.names[at]
            if name is not None:
                seen[name] = tuple(row[place] for place in range(last + 1))
        return seen


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5), st.integers(1, 3), st.integers(1, 4),
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 6)), min_size=1, max_size=7), st.integers(0, 2**20),
    st.booleans(),
)  # fmt: skip
def test_every_sequence_sees_its_own_tokens(
    rows: int, groups: int, chunk: int, wanted: list[tuple[int, int]], seed: int, loses: bool
) -> None:
    draw = random.Random(seed)
    batch, cache = batching.empty(rows, min(groups, rows), chunk), Cache(rows)
    prompts = {name: tuple(draw.randrange(1, 99) for _ in range(size)) for name, (size, _) in enumerate(wanted)}
    got: dict[int, list[int]] = {name: [] for name in prompts}
    coming, flying = list(prompts), list[Step]()
    for _ in range(2000):
        if coming and draw.random() < 0.4:
            batch = batching.asked(batch, Sequence(name := coming.pop(), prompts[name]))
        if loses and draw.random() < 0.03:
            fresh = batching.empty(rows, draw.randint(1, min(groups, rows)), chunk)
            batch, cache, flying = batching.moved(batch, fresh), Cache(rows), []
        batch, steps = batching.next_steps(batch)
        flying += steps
        if not flying:
            if not coming:
                break
            continue
        step = flying.pop(draw.randrange(len(flying)))
        chosen = {}
        for name, seen in cache.run(step).items():
            assert seen == (*prompts[name], *got[name])
            got[name].append(sum(seen) % 97)
            if len(got[name]) < wanted[name][1]:
                chosen[name] = got[name][-1]
        batch = batching.answered(batch, step, chosen)
    assert {name: len(tokens) for name, tokens in got.items()} == {n: most for n, (_, most) in enumerate(wanted)}
    assert not list(batch.sequences)


def test_one_step_a_group_and_decode_between_chunks() -> None:
    batch = batching.asked(batching.empty(2, 1, 2), Sequence(0, (1,)))
    batch, (first,) = batching.next_steps(batch)
    assert (first.kind, first.names) == ("decode", (0,))
    assert batching.next_steps(batch)[1] == ()
    batch = batching.asked(batching.answered(batch, first, {0: 5}), Sequence(1, (7, 8, 9, 10)))
    kinds = []
    for _ in range(4):
        batch, (step,) = batching.next_steps(batch)
        kinds.append((step.kind, step.names))
        batch = batching.answered(batch, step, {name: 5 for name in step.names if name is not None})
    assert kinds == [("prefill", (None,)), ("decode", (0,)), ("prefill", (1,)), ("decode", (0, 1))]


def test_a_sequence_that_is_withdrawn_leaves_its_row() -> None:
    batch = batching.asked(batching.empty(1, 1, 4), Sequence(0, (1, 2)))
    batch = batching.asked(batch, Sequence(1, (3, 4)))
    batch, (step,) = batching.next_steps(batch)
    batch = batching.answered(batching.withdrawn(batch, 0), step, {})
    batch, (step,) = batching.next_steps(batch)
    assert step.names == (1,)


@pytest.mark.parametrize(("rows", "groups", "chunk"), [(0, 0, 1), (2, 3, 1), (2, 1, 0)])
def test_a_batch_that_cannot_be_is_refused(rows: int, groups: int, chunk: int) -> None:
    with pytest.raises(InputError):
        batching.empty(rows, groups, chunk)


def test_an_empty_batch_has_nothing_to_do() -> None:
    assert batching.next_steps(batching.empty(3, 2, 8)) == (Batch((None,) * 3, (0, 1, 3), 8), ())


@pytest.mark.parametrize(
    ("rows", "units", "groups"), [(1, 2, 1), (8, 1, 1), (8, 2, 2), (16, 2, 4), (24, 3, 6), (23, 3, 3)]
)
def test_groups_keep_all_units_busy(rows: int, units: int, groups: int) -> None:
    assert Room(rows).grouped(units).groups == groups
    assert Room(rows, groups=1).grouped(units).groups == 1
