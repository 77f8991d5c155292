"""A module that foresees the second token, trained behind the small model: how often it is right, and what that gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from shoal import catalog
from shoal.llm import architecture
from shoal.llm.drafting import FAMILY, Ask, Budget, Drafter, Verifier, generate
from shoal.llm.library import transformers_module
from shoal.llm.limits import drafted_speed
from shoal.llm.mtp import RECIPE, Course, macs, trained
from shoal.study.contract import Finding, Shown, Table

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.tiny import Tiny

PROMPTS, PROMPT = 4, 64  # texts that are continued, bytes of each
STRETCHES, PLACES = 16, 128  # of the text itself, and bytes of each


def drafted(small: Tiny, text: np.ndarray, steps: int, letters: int, say: Callable[[str], None]) -> Iterator[Shown]:
    """Train it, then write several texts with and without it, one draft a step."""
    model, course = small.module(), Course(recipe=replace(RECIPE, steps=steps))
    drafter: Drafter = catalog.make(FAMILY, trained(course, model, say))
    starts = [text[at * 2048 : at * 2048 + PROMPT].tolist() for at in range(PROMPTS)]
    new, target = max(3, letters // PROMPTS), Verifier(model)
    found = [generate(target, each, new, drafter=drafter, tree=Budget.chain(1)) for each in starts]
    plain = [generate(target, each, new) for each in starts]
    same = all(one.tokens == other.tokens for one, other in zip(found, plain, strict=True))
    offered = [sum(each.offered for each in one.log) for one in found]
    shares = [one.accepted / max(1, count) for one, count in zip(found, offered, strict=True)]
    share = sum(one.accepted for one in found) / sum(offered)
    why = f"{steps} steps behind a model that stays; interval: least and most of {PROMPTS} texts"
    ends = 100 * min(shares), 100 * max(shares)
    yield Finding("acceptance", 100 * share, "measured", sum(offered), ends, why)
    yield Finding("text", same, "measured", PROMPTS * new, why="greedy, byte by byte")
    cost = macs(model, course) / architecture(small.config).macs(PROMPT)
    why = f"a draft takes {100 * cost:.0f} % of a step's multiplications here; two tokens at once count as one step"
    yield Finding("drafted_here", drafted_speed(share, cost), "modelled", sum(offered), why=why)
    yield _agreement(model, drafter, text, steps)
    rows = [(at + 1, count, one.accepted, (new - 1) / one.rounds) for at, (one, count) in
            enumerate(zip(found, offered, strict=True))]  # fmt: skip
    yield Table("Drafts", ("text", "drafted", "accepted", "tokens a step"), rows, f"{new} bytes each")


def _agreement(model: PreTrainedModel, drafter: Drafter, text: np.ndarray, steps: int) -> Finding:
    """On real text: at how many places both think the same byte likeliest."""
    shares = []
    for at in range(STRETCHES):
        symbols = text[at * PLACES : (at + 1) * PLACES].tolist()
        shares.append(100 * _alike(model, drafter, symbols))
    ends = float(np.quantile(shares, 0.025)), float(np.quantile(shares, 0.975))
    why = (
        f"{steps} steps on bytes, behind a model that stays; published: tokens, learned together for trillions of them; "
        "interval: 95 % of stretches"
    )
    return Finding("agreement", float(np.mean(shares)), "measured", STRETCHES * (PLACES - 2), ends, why)


def _alike(model: PreTrainedModel, drafter: Drafter, symbols: list[int]) -> float:
    """The share of places, in a text that goes on as it does and not as they think."""
    torch, session = transformers_module("torch"), drafter.begin(0)
    with torch.inference_mode():
        features = model.base_model(input_ids=torch.tensor([symbols]), use_cache=False).last_hidden_state
        wanted = model.get_output_embeddings()(features)[0].argmax(-1).tolist()
    seen, right = features[0].to(torch.float16).numpy(), 0
    for at in range(1, len(symbols) - 1):
        new = symbols[:2] if at == 1 else symbols[at : at + 1]
        ask = Ask(np.array(new, np.int32), seen[at - 1 : at], Budget.chain(1))
        right += int(session.propose(ask).tokens[0]) == wanted[at]
    return right / (len(symbols) - 2)
