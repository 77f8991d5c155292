"""`python -m shoal.learn.alone`: one member of a group that trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shoal import catalog, codec
from shoal.errors import ModelError
from shoal.learn.sharded import Sharded
from shoal.learn.states import States
from shoal.learn.units import units
from shoal.learn.values import PLAN, TEXT, Plan, Share, Task, items, states_path
from shoal.measure.joined import worked_together
from shoal.train.language import built_decoder
from shoal.train.library import torch_module
from shoal.wire.collectives import FAMILY, Collective, Group, even


def main(task: Task, group: Group) -> Share:
    """All steps of this member."""
    torch = torch_module()
    torch.set_num_threads(1)
    folder = Path(task.folder)
    plan = codec.load(Plan, folder / PLAN)
    how: Collective = catalog.make(FAMILY, task.how)
    text = np.frombuffer((folder / TEXT).read_bytes(), np.uint8)
    states = States(states_path(folder, group.rank))
    first = _steps_of_all(states, group, how)
    with torch.device("meta"):
        model = built_decoder(plan.decoder)
    sharded, losses = Sharded(model, units(plan.decoder), states, group, how), []
    mine = slice(*even(task.batch, group.members)[group.rank : group.rank + 2])
    for step, batch in items(text, plan.decoder.context, task.batch, task.order, range(first, first + task.steps)):
        x, y = torch.from_numpy(batch.x[mine]), torch.from_numpy(batch.y[mine])
        losses.append(sharded.step(x, y, task.adam, step + 1))
    states.close()
    return Share(tuple(losses), states.file_bytes, sharded.peak_bytes, group.sent_bytes)


def _steps_of_all(states: States, group: Group, how: Collective) -> int:
    """Steps that were done, by each member as many.

    Raises:
        ModelError: one was lost when the others had gone on.
    """
    steps = np.full(group.members, states.steps, np.int64)
    how.all_gather(group, steps, range(group.members + 1))
    if len(set(steps.tolist())) > 1:
        raise ModelError("members have done different numbers of steps", where="states", had=", ".join(map(str, steps)),
                         hint="begin again from a copy of all members' files")  # fmt: skip
    return int(steps[0])


if __name__ == "__main__":
    torch_module()
    worked_together(main, Task)
