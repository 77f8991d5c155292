"""What routes alone tell: who is here when a token comes, what is foreseen, and what cards would make of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from shoal import catalog
from shoal.cost.hosted_experts import PUBLISHED, Pace
from shoal.llm.routes import recorded
from shoal.llm.tiny import tiny
from shoal.plan.hosted_experts import EXACT, WAYS, Course, Resident, hit_rate, popular
from shoal.store import PREDICTORS, RoutingTrace, joined
from shoal.study._daop_lab import PLACES, Lab
from shoal.study._daop_simulated import Sequences, pace_of, texts_of
from shoal.study._daop_text import rows, stacked
from shoal.study._edgemoe_guess import Recall, recall

CARDS = {"A100": "A100, Mixtral-8x7B", "A6000": "A6000, Mixtral-8x7B"}
ANY = Pace(1.0, 8.0)
EXEMPT = 5  # as published: layers 0 to 4 ask nothing early


def hits(made: Lab, kind: str, count: int, prompt: int, ratios: Sequence[float]) -> list[tuple[float, float]]:
    """At each ratio of memory the share of experts that are here after a prompt: placed by popularity, and exchanged."""
    texts = texts_of(recorded(made.model, rows(kind, count, PLACES)))
    loads = made.learned.loads()
    return [_hits(popular(loads, int(ratio * made.experts)), texts, prompt) for ratio in ratios]


def _hits(placed: Resident, texts: Sequence[RoutingTrace], prompt: int) -> tuple[float, float]:
    static, moved = [], []
    for each in texts:
        course, rest = Course(placed, ANY, EXACT), each.of_tokens(slice(prompt, None))
        for _ in course.works(each.of_tokens(slice(0, prompt)), prompt):
            pass
        static.append(hit_rate(rest, placed))
        moved.append(hit_rate(rest, course.resident))
    return float(np.mean(static)), float(np.mean(moved))


def recalls(made: Lab, kinds: Sequence[str], count: int) -> Recall:
    """By predictor, of each layer from the second on, on text of all kinds."""
    held = joined([recorded(made.model, rows(kind, count, PLACES)) for kind in kinds])
    return {
        name: recall(catalog.make(PREDICTORS, name), made.learned, held) for name in ("next_router", "popularity")
    }


def carded(
    kind: str, count: int, sequences: int, prompt: int, output: int, ratios: Sequence[float], layers: int = 32
) -> dict[tuple[str, float], dict[str, float]]:
    """Tokens a second of every way, by card and ratio of memory."""
    from shoal.train.language import corpus, stretches

    model = tiny(kind).module()
    every = stretches(corpus()[0], PLACES).x
    learned = stacked(recorded(model, every[np.linspace(0, len(every) - 1, count).astype(int)]), layers)
    held = stacked(recorded(model, rows("prose", sequences, prompt + output)), layers)
    texts = Sequences(learned, texts_of(held), prompt)
    found: dict[tuple[str, float], dict[str, float]] = {}
    for card, name in CARDS.items():
        pace = pace_of(card, *PUBLISHED[name])
        for ratio in ratios:
            found[card, ratio] = {
                "on_demand": texts.cached(ratio, pace, ahead=False),
                "prefetch": texts.cached(ratio, pace, ahead=True),
            } | {name: texts.shared(ratio, pace, replace(way, exempt=EXEMPT)) for name, way in WAYS.items()}
    return found
