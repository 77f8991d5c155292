"""Whether drafting leaves a distribution as it is: by going through everything that can be drawn, and by draws."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from shoal.llm.drafting import Budget, Draw, Tree, accept_drawn, drawing, drawn
from shoal.llm.drafting.growth import Nodes
from shoal.llm.drafting.sampling import F64

VOCABULARY = 3
BUDGETS = (Budget(1, 1, 1), Budget(2, 1, 2), Budget(1, 2, 2), Budget(1, 3, 3), Budget(2, 2, 4), Budget(2, 2, 3))
NEVER = 1e-300
Text = tuple[int, ...]
Language = Callable[[Text], F64]  # what follows a text


class Untold(Exception):
    """A decision that was not told in advance."""


class Told:
    """Decisions that are told in advance; it keeps how likely they were."""

    def __init__(self, told: tuple[int, ...]) -> None:
        self._told, self.weight = iter(told), 1.0
        self.open: list[int] = []  # what could be decided next, where nothing was told

    def __call__(self, p: F64) -> int:
        choice = next(self._told, None)
        if choice is None:
            self.open = np.flatnonzero(p).tolist()
            raise Untold
        self.weight *= float(p[choice] / p.sum())
        return choice


def outcomes(make: Callable[[Draw], Text]) -> Iterator[tuple[float, Text]]:
    """Everything that can come out, with its probability."""
    waiting: list[tuple[int, ...]] = [()]
    while waiting:
        told = waiting.pop()
        draw = Told(told)
        try:
            found = make(draw)
        except Untold:
            waiting += [(*told, choice) for choice in draw.open]
        else:
            yield draw.weight, found


def texts(tree_of: Callable[[Draw], Tree], p: Language, length: int) -> dict[Text, float]:
    """The distribution of the first tokens of drafting, accepting, and then the target alone."""

    def once(draw: Draw) -> Text:
        tree = tree_of(draw)
        ways = [(), *(tuple(int(tree.tokens[at]) for at in np.flatnonzero(row)) for row in tree.seen)]
        found = accept_drawn(tree, np.stack([p(way) for way in ways]), draw)
        text = (*(int(tree.tokens[node]) for node in found.path), found.token)
        while len(text) < length:
            text = (*text, draw(p(text)))
        return text[:length]

    sums: dict[Text, float] = {}
    for weight, text in outcomes(once):
        sums[text] = sums.get(text, 0.0) + weight
    return sums


def made_up(seed: int) -> Language:
    """A language of three tokens, some of which never come."""

    def p(text: Text) -> F64:
        found = np.random.default_rng([seed, len(text), *text]).dirichlet(np.full(VOCABULARY, 0.7))
        found[found < 0.05] = 0
        return np.asarray(found / found.sum())

    return p


def drafted(q: Language, budget: Budget) -> Callable[[Draw], Tree]:
    """Trees that are drawn from a language of two tokens' memory."""

    def after(nodes: Nodes, chosen: list[int]) -> F64:
        return np.stack([_logits(q((nodes.tokens[node],))) for node in chosen])

    return lambda draw: drawn(_logits(q(())), after, budget, 1.0, draw)


def off(found: dict[Text, float], p: Language, length: int) -> float:
    """How far probabilities of texts are from the analytic ones, at most."""
    wanted = {
        text: float(np.prod([p(text[:at])[token] for at, token in enumerate(text)]))
        for text in itertools.product(range(VOCABULARY), repeat=length)
    }
    return max(abs(found.get(text, 0.0) - share) for text, share in wanted.items())


def worst(seeds: int) -> float:
    """Over all budgets and so many pairs of languages."""
    return max(
        off(texts(drafted(made_up(seed + 100), budget), made_up(seed), 2), made_up(seed), 2)
        for seed in range(seeds) for budget in BUDGETS
    )  # fmt: skip


def p_value(p: F64, tree_of: Callable[[Draw], Tree], draws: int, seed: int) -> float:
    """Of chi-square over first tokens; rare ones are counted together.

    Args:
        p: (1 + n, vocabulary) of the target, the same for every tree that is drawn.
        tree_of: draws one.
        draws: how many.
        seed: of them.
    """
    from scipy.stats import chisquare

    draw, counts = drawing(seed), np.zeros(p.shape[-1])
    for _ in range(draws):
        tree = tree_of(draw)
        found = accept_drawn(tree, p, draw)
        counts[tree.tokens[found.path[0]] if found.path else found.token] += 1
    wanted = p[0] * draws
    rare = wanted < 5
    seen, due = np.append(counts[~rare], counts[rare].sum()), np.append(wanted[~rare], wanted[rare].sum())
    if due[-1] < 5:  # none are rare, or hardly any: with the last of the others
        seen, due = np.append(seen[:-2], seen[-2:].sum()), np.append(due[:-2], due[-2:].sum())
    return float(chisquare(seen, due * (seen.sum() / due.sum())).pvalue)


def _logits(p: F64) -> F64:
    return np.log(np.maximum(p, NEVER))
