"""`python -m shoal.llm.tensor_parallel.alone`: one member of a group that has a model together."""

from __future__ import annotations

import time
from pathlib import Path

from shoal import catalog
from shoal.llm.library import transformers_module
from shoal.llm.offload.kept import WEIGHTS, Stored, stored_at
from shoal.llm.tensor_parallel.plug import parallel
from shoal.llm.tensor_parallel.values import Answer, Share, Task
from shoal.measure.joined import worked_together
from shoal.wire.collectives import FAMILY, Group


def main(task: Task, group: Group) -> Share:
    """All ways, one after another."""
    transformers_module("torch").set_num_threads(1)
    stored = stored_at(Path(task.folder, WEIGHTS))
    found = [_answered(stored, task, group, way) for way in task.ways]
    return Share(found[0][0], tuple(answer for _, answer in found))


def _answered(stored: Stored, task: Task, group: Group, way: str) -> tuple[int, Answer]:
    """Bytes of this member's weights, and the text."""
    torch = transformers_module("torch")
    model = parallel(stored, group, catalog.make(FAMILY, way))
    symbols, cache, before = torch.tensor([task.tokens]), None, group.sent_bytes
    given, seconds, first = list[int](), list[float](), list[float]()
    with torch.no_grad():
        for _ in range(1 + task.new):
            begun_s = time.perf_counter()
            answer = model(symbols, past_key_values=cache, use_cache=bool(task.new), logits_to_keep=1)
            seconds.append(time.perf_counter() - begun_s)
            last = answer.logits[0, -1]
            first = first or last.tolist()
            cache, symbols = answer.past_key_values, last.argmax().view(1, 1)
            given.append(int(symbols))
    memory = {each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in model.parameters()}
    return sum(memory.values()), Answer(
        tuple(given[: task.new]), tuple(first), tuple(seconds), group.sent_bytes - before
    )


if __name__ == "__main__":
    transformers_module()
    transformers_module("torch")
    worked_together(main, Task)
