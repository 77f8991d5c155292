"""How many of a token's experts predictors foresee, layer by layer, on text held out."""

from __future__ import annotations

import numpy as np

from shoal import catalog
from shoal.llm.routes import recorded
from shoal.llm.tiny import tiny
from shoal.store import PREDICTORS, Predictor, RoutingTrace
from shoal.study._edgemoe_runs import PLACES

Recall = dict[str, list[float]]  # by predictor: of each layer from the second on


def recalls(kind: str, rows: int, held_rows: int) -> Recall:
    """Of as many experts as a token has, the share foreseen. Predictors go on learning, as they do while a model runs."""
    from shoal.train.language import corpus, stretches

    model = tiny(kind).module()
    learned, held = (
        recorded(model, every[np.linspace(0, len(every) - 1, count).astype(int)])
        for every, count in zip((stretches(text, PLACES).x for text in corpus()), (rows, held_rows), strict=True)
    )
    return {name: recall(catalog.make(PREDICTORS, name), learned, held) for name in catalog.names(PREDICTORS)}


def recall(predictor: Predictor, learned: RoutingTrace, held: RoutingTrace) -> list[float]:
    """Of each layer from the second on."""
    guess, right = predictor.learned(learned), np.zeros(held.layers)
    for token, foreseen in zip(held.chosen.tolist(), held.foreseen.tolist(), strict=True):
        for layer, chosen in enumerate(token):
            scores = guess.scores(layer, token[:layer], foreseen[layer])
            right[layer] += len(set(chosen) & set(np.argsort(-scores, kind="stable")[: len(chosen)].tolist()))
            guess.saw(layer, token[:layer], chosen)
    found: list[float] = (right / (held.tokens * held.per_token)).tolist()
    return found[1:]
