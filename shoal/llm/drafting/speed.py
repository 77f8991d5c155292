"""How fast drafting is: (τ + 1) tokens in the time of a draft and a pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

import numpy as np

from shoal.errors import InputError
from shoal.llm.drafting.accept import accept_greedy
from shoal.llm.drafting.loop import Round
from shoal.llm.drafting.tree import Tree
from shoal.llm.drafting.verifier import Verifier

COUNTS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)  # tokens of a pass


@dataclass(frozen=True)
class Curve:
    """Seconds over a count, straight between the points and beyond the last two."""

    counts: tuple[int, ...]  # ascending
    seconds: tuple[float, ...]

    def __post_init__(self) -> None:
        if (
            not self.counts
            or len(self.counts) != len(self.seconds)
            or list(self.counts) != sorted(set(self.counts))
        ):
            raise InputError("a curve has a time for each of some ascending counts", had=str(self.counts))

    def __call__(self, count: float) -> float:
        """At this count."""
        if count <= self.counts[-1] or len(self.counts) == 1:
            return float(np.interp(count, self.counts, self.seconds))
        (before, last), (slower, slowest) = self.counts[-2:], self.seconds[-2:]
        return slowest + (count - last) * max(0.0, slowest - slower) / (last - before)


@dataclass(frozen=True)
class Speed:
    """Of one target and one drafter."""

    target: Curve  # t_T: by tokens of a pass, the text's newest among them
    draft: Curve  # t_D: by tokens of a chain, or levels of a tree; with the link where there is one
    link_s: float = 0.0  # t_link, where `draft` is without it

    @classmethod
    def of(cls, log: Iterable[Round]) -> Speed:
        """Of rounds that were written with chains of several lengths, none among them: the mean time of each length.

        Raises:
            InputError: there are none without a draft, or none with one.
        """
        draft: dict[int, list[float]] = {}
        target: dict[int, list[float]] = {}
        for each in log:
            target.setdefault(each.offered + 1, []).append(each.target_s)
            if each.offered:
                draft.setdefault(each.levels, []).append(each.draft_s)
        if 1 not in target:
            raise InputError("no round of the target alone to compare with", hint="write a text with `Trying`")
        return cls(_means(target), _means(draft))

    def round_s(self, tokens: int, levels: int | None = None) -> float:
        """Of one round that drafts so many tokens in so many levels (none: a chain)."""
        if not tokens:
            return self.target(1)
        return self.draft(tokens if levels is None else levels) + self.link_s + self.target(tokens + 1)

    def tokens_per_s(self, length: float, tokens: int, levels: int | None = None) -> float:
        """Where `length` (τ) of them are accepted on the average."""
        return (length + 1) / self.round_s(tokens, levels)

    def best_chain(self, alpha: float, most: int) -> int:
        """The length of the fastest chain if each token is accepted with `alpha`; 0: do not draft."""
        speeds = [self.tokens_per_s(chain_length(alpha, tokens), tokens) for tokens in range(most + 1)]
        return int(np.argmax(speeds))


def _means(took: Mapping[int, Sequence[float]]) -> Curve:
    return Curve(tuple(sorted(took)), tuple(fmean(took[count]) for count in sorted(took)))


def chain_length(alpha: float, tokens: int) -> float:
    """τ of a chain, each token of which is accepted with `alpha` if those before it were: α + α² + … + αⁿ.

    [Leviathan et al., arXiv 2211.17192, equation 1, less the target's own token]
    """
    return float(sum(alpha**place for place in range(1, tokens + 1)))


def measure_target(
    verifier: Verifier, prompt: Sequence[int], counts: Sequence[int] = COUNTS, repeats: int = 9
) -> Curve:
    """t_T: a pass over so many tokens, with accepting and forgetting; all counts in turn, median of the repeats."""
    newest = int(prompt[-1])

    def once(count: int) -> Callable[[], None]:
        tree = Tree.chain([newest] * (count - 1))

        def run() -> None:
            accept_greedy(tree, verifier.score(newest, tree).logits)
            verifier.commit(tree, ())

        return run

    verifier.begin(prompt)
    return _measured({count: once(count) for count in counts}, repeats)


def _measured(runs: dict[int, Callable[[], None]], repeats: int) -> Curve:
    took: dict[int, list[float]] = {count: [] for count in runs}
    for _ in range(repeats):
        for count, run in runs.items():
            begun = time.perf_counter()
            run()
            took[count].append(time.perf_counter() - begun)
    return Curve(tuple(runs), tuple(median(each) for each in took.values()))
