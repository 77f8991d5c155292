"""Mixes of requests on a store whose tier is held to a rate: what leaves, and what is copied before it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from shoal import catalog
from shoal.llm.composition.served import Answer
from shoal.sim.composition import bursty, plain_hits, uniform, zipf
from shoal.store import NOBODY, PREDICTORS, Key, RoutingTrace, Told
from shoal.study import Bench, Finding, Shown, Table
from shoal.study._sn40l_served import Small

HELD = 3  # experts in the fast memory
LEARNED = 2000  # requests that a predictor has seen
WAYS = (  # what leaves, and what is copied while an expert answers
    ("lru", "nothing"), ("lru", "the likeliest next"), ("lru", "the next request's"),
    ("oracle", "nothing"), ("oracle", "the next request's"),
)  # fmt: skip
Guess = Callable[[str], str]


def mixes(small: Small, new: int, requests: int, bench: Bench) -> Iterator[Shown]:
    """Uniform, Zipf and bursty requests, a copy as long as an answer."""
    names = tuple(small.texts)
    with small.opened(len(names)) as store:
        warm = list(small.over(store).answers([prompt for _, prompt in small.prompts(1)] * 2, new))
    answer_s = median(answer.execute_s for answer in warm[len(names) :])
    drawn: dict[str, Callable[[int, int], NDArray[np.int64]]] = {
        "uniform": lambda count, seed: uniform(len(names), count, seed),
        "Zipf": lambda count, seed: zipf(len(names), count, 1.0, seed),
        "bursty": lambda count, seed: bursty(len(names), count, 0.75, seed),
    }
    rows, off, needless = [], 0.0, 0.0
    for mix in bench.each(tuple(drawn), "mix"):
        prompts = _prompts(small, drawn[mix](requests, bench.seed))
        wanted = [names.index(small.router.route(each).expert) for each in prompts]
        guess = foresight(names, drawn[mix](LEARNED, bench.seed + 1))
        reads: dict[str, int] = {}
        for policy, ahead in WAYS:
            answers, told = _served(small, prompts, wanted, answer_s, new, (policy, ahead), guess)
            waits_ms = 1e3 * sum(answer.switch_s for answer in answers) / requests
            rows.append((mix, policy, ahead, 100 * told.hit_rate, waits_ms, told.records_read / requests))
            if ahead == "nothing":
                reads[policy] = told.records_read
            if (policy, ahead) == WAYS[0]:
                off = max(off, abs(told.hit_rate - plain_hits(wanted, HELD)))
        needless = max(needless, reads["oracle"] / reads["lru"])
    yield Table(f"{requests} requests for {len(names)} experts, {HELD} in fast memory",
                ("mix", "leaves", "copied ahead", "there, %", "waiting, ms a request", "copies a request"), rows,
                note=f"a copy takes as long as an answer of {new} bytes, {1e3 * answer_s:.3g} ms, by waiting (emulated); the "
                     "likeliest next: by the pairs of another stream of that mix")  # fmt: skip
    yield Finding("mixes", 100 * off, "measured", len(drawn))
    yield Finding("oracle", needless, "measured", len(drawn), why="the most of the mixes")


def foresight(names: Sequence[str], wanted: NDArray[np.int64]) -> Guess:
    """Who comes after an expert, by pairs of requests; never that one, which is there already."""
    pairs = np.stack([wanted[:-1], wanted[1:]], axis=1).astype(np.int16)[..., None]
    ones, nobody = np.ones(pairs.shape, np.float32), np.full(pairs.shape, NOBODY, np.int16)
    trace = RoutingTrace(len(names), pairs, ones, nobody, np.zeros(len(pairs), np.int32))
    learned = catalog.make(PREDICTORS, "path_table").learned(trace)

    def guess(after: str) -> str:
        scores = learned.scores(1, [[names.index(after)]], ()).copy()
        scores[names.index(after)] = -1.0
        return names[int(scores.argmax())]

    return guess


def _prompts(small: Small, wanted: NDArray[np.int64]) -> list[bytes]:
    """Held out, of the kinds that are wanted."""
    kinds: dict[str, list[bytes]] = {}
    for kind, prompt in small.prompts(8):
        kinds.setdefault(kind, []).append(prompt)
    names = tuple(small.texts)
    return [kinds[names[kind]][at % 8] for at, kind in enumerate(wanted.tolist())]


def _served(
    small: Small, prompts: Sequence[bytes], wanted: Sequence[int], answer_s: float, new: int, way: tuple[str, str],
    guess: Guess,
) -> tuple[list[Answer], Told]:  # fmt: skip
    policy, ahead = way
    uses = [Key(each) for each in wanted] if policy == "oracle" else None
    with small.opened(HELD, small.expert_bytes / answer_s, policy, uses) as store:
        likeliest = guess if ahead == "the likeliest next" else None
        answers = list(small.over(store).answers(prompts, new, ahead=ahead != "nothing", guess=likeliest))
        return answers, store.told()
