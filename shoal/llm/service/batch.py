"""Continuous batching: which rows of the caches take which sequences, and what is computed next. Pure functions.

The caches have a fixed number of rows, divided into groups; of each group one step at most is under way, so that several
groups keep a pipeline of devices busy. A sequence takes a free row and keeps it. Its prompt goes in by chunks, by itself;
then it goes on token by token, in one step with all others of its group. A row without a sequence, or whose prompt is
still going in, is computed along and its answer dropped: what it writes stands where its own next token will.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from shoal.errors import InputError


@dataclass(frozen=True)
class Sequence:
    """A text in the making."""

    name: int
    tokens: tuple[int, ...]  # the prompt, and what was chosen so far
    seen: int = 0  # of them, in the caches

    @property
    def behind(self) -> int:
        """Tokens that are not in the caches yet; with one the next step is its turn to go on."""
        return len(self.tokens) - self.seen


@dataclass(frozen=True)
class Step:
    """What is computed at once: rows first, first + 1, … of the caches."""

    kind: Literal["prefill", "decode"]
    group: int
    first: int
    tokens: tuple[tuple[int, ...], ...]  # by row, all equally many
    last: tuple[int, ...]  # by row, the place of the last of them
    names: tuple[int | None, ...]  # by row, whose next token comes of it
    fed: int | None = None  # prefill: whose prompt goes in


@dataclass(frozen=True)
class Batch:
    """Where everything stands.

    Args:
        rows: of the caches, with the sequence in each.
        bounds: first row of each group, and the end of the last.
        chunk: tokens of a prompt that go in at once.
        waiting: sequences without a row.
        flying: steps under way, by group.
        prefilled: groups whose latest step was a chunk of a prompt: the others' turn comes first.
    """

    rows: tuple[Sequence | None, ...]
    bounds: tuple[int, ...]
    chunk: int
    waiting: tuple[Sequence, ...] = ()
    flying: Mapping[int, Step] = field(default_factory=dict)
    prefilled: frozenset[int] = frozenset()

    @property
    def sequences(self) -> Iterator[Sequence]:
        """All that are not done, those with rows first."""
        yield from (each for each in self.rows if each is not None)
        yield from self.waiting


def empty(rows: int, groups: int, chunk: int) -> Batch:
    """Nothing to do yet.

    Raises:
        InputError: there is not a row for each group, or chunks are empty.
    """
    if not 1 <= groups <= rows or chunk < 1:
        raise InputError("a batch that cannot be", needed="a row for each group, a token in each chunk",
                         had=f"{rows} rows, {groups} groups, chunks of {chunk}")  # fmt: skip
    bounds = tuple(rows * at // groups for at in range(groups + 1))
    return Batch((None,) * rows, bounds, chunk)


def asked(batch: Batch, sequence: Sequence) -> Batch:
    """With one sequence more."""
    return _seated(replace(batch, waiting=(*batch.waiting, sequence)))


def withdrawn(batch: Batch, name: int) -> Batch:
    """Without that sequence; what is under way for it is computed for nobody."""
    rows = tuple(None if each is not None and each.name == name else each for each in batch.rows)
    waiting = tuple(each for each in batch.waiting if each.name != name)
    return _seated(replace(batch, rows=rows, waiting=waiting))


def next_steps(batch: Batch) -> tuple[Batch, tuple[Step, ...]]:
    """What idle groups are to compute now."""
    steps = []
    for group in range(len(batch.bounds) - 1):
        step = None if group in batch.flying else _step(batch, group)
        if step is not None:
            steps.append(step)
            others = batch.prefilled - {group}
            batch = replace(
                batch, flying={**batch.flying, group: step},
                prefilled=others | {group} if step.kind == "prefill" else others,
            )  # fmt: skip
    return batch, tuple(steps)


def answered(batch: Batch, step: Step, chosen: Mapping[int, int]) -> Batch:
    """After a step: the caches hold what it computed, and sequences that go on have their next token.

    Args:
        batch: in which the step was under way.
        step: that was answered.
        chosen: the next tokens by the sequences' names; one of `step.names` that is missing ends here.
    """
    rows = list(batch.rows)
    for at, name in enumerate(step.names):
        row, held = step.first + at, rows[step.first + at]
        if held is None or held.name != (step.fed if name is None else name):
            continue
        if name is None:
            rows[row] = replace(held, seen=held.seen + len(step.tokens[at]))
        elif name in chosen:
            rows[row] = replace(held, tokens=(*held.tokens, chosen[name]), seen=len(held.tokens))
        else:
            rows[row] = None
    flying = {group: each for group, each in batch.flying.items() if group != step.group}
    return _seated(replace(batch, rows=tuple(rows), flying=flying))


def moved(batch: Batch, fresh: Batch) -> Batch:
    """The sequences of `batch` in `fresh`, whose caches are empty, as after the loss of a device."""
    return _seated(replace(fresh, waiting=tuple(replace(each, seen=0) for each in batch.sequences)))


def _seated(batch: Batch) -> Batch:
    """Waiting sequences on free rows, each in the group with the fewest."""
    while batch.waiting and None in batch.rows:
        spans = list(zip(batch.bounds, batch.bounds[1:], strict=False))
        taken = [sum(each is not None for each in batch.rows[first:end]) for first, end in spans]
        group = min((at for at, span in enumerate(spans) if taken[at] < span[1] - span[0]), key=taken.__getitem__)
        row = batch.rows.index(None, spans[group][0])
        rows = (*batch.rows[:row], batch.waiting[0], *batch.rows[row + 1 :])
        batch = replace(batch, rows=rows, waiting=batch.waiting[1:])
    return batch


def _step(batch: Batch, group: int) -> Step | None:
    first, end = batch.bounds[group : group + 2]
    held = {row: each for row in range(first, end) if (each := batch.rows[row]) is not None}
    ready = [row for row, each in held.items() if each.behind == 1]
    behind = [row for row, each in held.items() if each.behind > 1]
    if behind and not (ready and group in batch.prefilled):
        return _prefill(batch, group, min(behind, key=lambda row: held[row].name))
    return _decode(batch, group, range(first, max(ready) + 1), set(ready)) if ready else None


def _prefill(batch: Batch, group: int, row: int) -> Step:
    sequence = batch.rows[row]
    assert sequence is not None
    end = min(sequence.seen + batch.chunk, len(sequence.tokens))
    whole = end == len(sequence.tokens)
    return Step("prefill", group, row, (sequence.tokens[sequence.seen : end],), (end - 1,),
                (sequence.name if whole else None,), sequence.name)  # fmt: skip


def _decode(batch: Batch, group: int, rows: Iterable[int], ready: set[int]) -> Step:
    held = {row: batch.rows[row] for row in rows}
    first = next(iter(held))
    tokens = tuple((each.tokens[-1],) if each is not None and row in ready else (0,) for row, each in held.items())
    last = tuple(0 if each is None else each.seen for each in held.values())
    names = tuple(each.name if each is not None and row in ready else None for row, each in held.items())
    return Step("decode", group, first, tokens, last, names)
