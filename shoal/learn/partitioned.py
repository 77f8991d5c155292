"""Training by a group of processes: their files made, their work started, the weights put together again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shoal import codec
from shoal.errors import InputError
from shoal.learn.adam import F32, Adam
from shoal.learn.states import Kind, States, write_states
from shoal.learn.units import units
from shoal.learn.values import PLAN, TEXT, U8, Plan, Share, Task, states_path
from shoal.measure.joined import joined
from shoal.train.language import Decoder, built_decoder, corpus, parameters
from shoal.wire.collectives import even

CHUNK = 1 << 16  # numbers
MODULE, WHERE = "shoal.learn.alone", "partitioned training"


@dataclass(frozen=True)
class Trained:
    """How it went."""

    losses: tuple[float, ...]  # of each step, before it
    shares: tuple[Share, ...]  # by rank
    resident_bytes: tuple[int, ...]  # of each process beyond its libraries, as the system counts it


def prepare(
    folder: Path, decoder: Decoder, members: int, *, text: U8 | None = None, seed: int = 0, chunk: int = CHUNK
) -> None:
    """Write the members' files for a decoder with weights of this seed, and the text (none: what comes with Python).

    Raises:
        MissingExtra: torch is not installed.
        InputError: no members, or chunks without a number.
        WorkError: a file cannot be written, as when the disk is full.
    """
    plan, values = Plan(decoder, members), parameters(built_decoder(decoder, seed))
    runs = [np.concatenate([values[name].reshape(-1) for name, _ in each.shapes]) for each in units(decoder)]
    for rank in range(members):
        parts = [run[slice(*even(len(run), members)[rank : rank + 2])] for run in runs]
        write_states(parts, chunk, states_path(folder, rank))
    codec.write_bytes((corpus()[0] if text is None else text).tobytes(), folder / TEXT)
    codec.save(plan, folder / PLAN)


def train(
    folder: Path,
    steps: int,
    *,
    batch: int = 8,
    adam: Adam | None = None,
    order: int = 0,
    how: str = "direct",
    over: str = "shm",
    patience_s: float = 900.0,
    started: Callable[[list[int]], object] | None = None,
) -> Trained:
    """Go on training what lies in a folder, each member in a process of its own.

    Args:
        folder: of `prepare`.
        steps: more of them.
        batch: stretches of text a step, of all members together.
        adam: its figures.
        order: seed of the order of stretches.
        how: members exchange, of `wire/collectives`.
        over: what transport.
        patience_s: for all of it.
        started: is told the processes once they are joined.

    Raises:
        InputError: nothing was prepared there, or less than an item for each member.
        WorkerDied: a member died: its process ended, its file is damaged, its disk is full. It is named.
        WorkError: it takes longer than `patience_s`.
    """
    plan = codec.load(Plan, folder / PLAN)
    if steps < 1 or batch < plan.members or batch % plan.members:
        raise InputError("every member has as many items of a step", where="batch", needed=f"a multiple of {plan.members}",
                         had=str(batch))  # fmt: skip
    task = Task(str(folder), steps, batch, adam or Adam(), order, how)
    found = joined(MODULE, [task] * plan.members, Share, WHERE, patience_s, over=over, started=started)
    shares = tuple(each.answer for each in found)
    losses = tuple(float(np.mean(each)) for each in zip(*(share.losses for share in shares), strict=True))
    return Trained(losses, shares, tuple(each.peak_bytes - each.before_bytes for each in found))


def weights(folder: Path) -> dict[str, F32]:
    """All weights, put together from the members' files.

    Raises:
        InputError: nothing was prepared there.
        ModelError: a file is damaged.
    """
    plan = codec.load(Plan, folder / PLAN)
    files = [States(states_path(folder, rank)) for rank in range(plan.members)]
    made: dict[str, F32] = {}
    for at, unit in enumerate(units(plan.decoder)):
        run, cuts = np.empty(unit.size, np.float32), even(unit.size, plan.members)
        for rank, states in enumerate(files):
            states.load(at, Kind.WEIGHT, run[cuts[rank] : cuts[rank + 1]])
        made |= {name: run[place].reshape(shape) for name, shape, place in unit.spans()}
    for states in files:
        states.close()
    return made
