"""Texts gone on with over a plan of experts: the tokens of one process, whatever is balanced and whoever is lost."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from shoal import fleet
from shoal.llm.expert_plan import Question, serving
from shoal.llm.library import transformers_module
from shoal.llm.service import Request
from shoal.llm.tiny import save_folder, tiny
from shoal.plan.experts import ExpertPlan
from shoal.study import Finding, Shown, Table
from shoal.study.contract import Cell
from shoal.train.language import corpus

DEVICES = """
[devices.left]
board = "this-machine"
[devices.right]
board = "this-machine"
[default_link]
bandwidth = "100 TB/s"
latency = "1 ns"
"""  # so quick that an expert on its way costs nearly nothing, and is sent
PROMPT, NEW, TEXTS, PROFILE_BYTES = 48, 16, 4, 4096


def served(kinds: tuple[str, ...]) -> Iterator[Shown]:
    """Several texts at once over two workers; with the balancer, and with a worker that is killed."""
    rows: list[tuple[Cell, ...]] = []
    off: dict[bool, list[int]] = {False: [], True: []}  # with a worker killed, tokens that differ
    for kind in kinds:
        with tempfile.TemporaryDirectory(prefix="shoal-served-") as folder:
            plan, prompts, wanted = _planned(kind, Path(folder))
            for way, balancer, killed in (("plain", "plain", False), ("least loaded", "least_loaded:gate=1,least=1", False),
                                          ("a worker killed", "plain", True)):  # fmt: skip
                found = _asked(plan, prompts, wanted, balancer, killed=killed)
                off[killed].append(found[0])
                rows.append((kind, way, *found))
    yield Finding("served", sum(off[False]), "measured", len(off[False]), why="all tokens of all texts")
    yield Finding("lost", sum(off[True]), "measured", len(off[True]), why="all tokens of all texts")
    yield Table("Texts over a plan of experts, two workers",
                ("model", "way", "tokens that differ", "of", "tokens of experts", "spilled", "workers lost"), rows)  # fmt: skip


def _planned(kind: str, folder: Path) -> tuple[ExpertPlan, list[bytes], list[list[int]]]:
    """A plan made as the command line does, texts to go on with, and how one process goes on."""
    torch, text, model = transformers_module("torch"), corpus()[1].tobytes(), tiny(kind)
    save_folder(model, folder / kind)
    (folder / "text").write_bytes(text[:PROFILE_BYTES])
    found = Question(folder / kind, fleet.loads(DEVICES), "lpt", (folder / "text",)).answered()
    starts = range(PROFILE_BYTES, PROFILE_BYTES + TEXTS * PROMPT, PROMPT)
    prompts, module = [text[at : at + PROMPT] for at in starts], model.module()
    with torch.no_grad():
        wanted = [
            module.generate(torch.tensor([[*each]]), max_new_tokens=NEW, do_sample=False, pad_token_id=0)[
                0, PROMPT:
            ].tolist()
            for each in prompts
        ]
    return found.plan, prompts, wanted


def _asked(plan: ExpertPlan, prompts: list[bytes], wanted: list[list[int]], balancer: str, *, killed: bool) -> tuple[int, int, int, int, int]:  # fmt: skip
    """Tokens that differ, all tokens, tokens of experts computed, spilled, workers lost."""
    with serving(plan, balancer, len(prompts), 128) as there:
        streams = [there.generator.ask(Request(tuple(each), NEW)) for each in prompts]
        first = next(iter(streams[0]))
        if killed:
            os.kill(there.processes[0], signal.SIGKILL)
        found = [[first, *streams[0]], *map(list, streams[1:])]
    off = sum(
        one != other
        for mine, right in zip(found, wanted, strict=True)
        for one, other in zip(mine, right, strict=False)
    )
    off += sum(abs(len(mine) - len(right)) for mine, right in zip(found, wanted, strict=True))
    done = there.tally.workers
    return (off, sum(map(len, wanted)), sum(each.copies for each in done), sum(each.spilled for each in done),
            there.generator.counts.losses)  # fmt: skip
