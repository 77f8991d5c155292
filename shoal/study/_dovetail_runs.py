"""Texts written with and without a drafter, and what they took."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from shoal.llm.drafting import Budget, Course, Drafted, Drafter, Pilot, Verifier, generate, trained
from shoal.train.language import corpus

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.study._bench import Bench

DEEP, DGF, PLAIN, SMALL, LOOKUP = "DGF, 2 blocks", "DGF", "plain fusion", "small model", "n-gram"
COURSES = {
    DEEP: Course("gate", layers=2),
    DGF: Course("gate"),
    PLAIN: Course("linear"),
    SMALL: Course("small", heads=4),
}
Prompt = tuple[int, ...]


@dataclass(frozen=True)
class Total:
    """Over many texts; only rounds count, not the prompts' passes."""

    texts: tuple[Prompt, ...]
    rounds: int
    accepted: int
    tried: int  # tokens up to the first refused one of each round, that one included
    seconds: float

    @classmethod
    def of(cls, found: Iterable[Drafted]) -> Total:
        """The sum."""
        found = list(found)
        log = [each for one in found for each in one.log]
        tried = sum(min(each.accepted + 1, each.offered) for each in log)
        return cls(tuple(one.tokens for one in found), len(log), sum(each.accepted for each in log), tried,
                   sum(one.seconds for one in found))  # fmt: skip

    @classmethod
    def sum(cls, some: Iterable[Total]) -> Total:
        """Of all of them."""
        parts = list(some)
        texts = tuple(text for each in parts for text in each.texts)
        rounds, accepted, tried = (
            sum(getattr(each, name) for each in parts) for name in ("rounds", "accepted", "tried")
        )
        return cls(texts, rounds, accepted, tried, sum(each.seconds for each in parts))

    @property
    def length(self) -> float:
        """τ: tokens accepted a round."""
        return self.accepted / max(1, self.rounds)

    @property
    def alpha(self) -> float:
        """The share of tokens that were accepted where those before them were."""
        return self.accepted / max(1, self.tried)

    @property
    def tokens_per_s(self) -> float:
        """Of rounds."""
        return (self.rounds + self.accepted) / self.seconds


@dataclass(frozen=True, eq=False)
class Desk:
    """A target and what it is to continue."""

    verifier: Verifier
    prompts: Sequence[Prompt]
    new: int

    def write(self, prompt: Prompt, drafter: Drafter | None = None, tree: Budget | Pilot | None = None) -> Drafted:
        """One text, greedy."""
        return generate(self.verifier, prompt, self.new, drafter=drafter, tree=tree)

    def in_turn(
        self, drafter: Drafter, ways: Mapping[str, Budget | Pilot | None], prompts: Sequence[Prompt]
    ) -> dict[str, Total]:
        """Each prompt in every way, one after another; None: the target alone."""
        found: dict[str, list[Drafted]] = {name: [] for name in ways}
        for prompt in prompts:
            for name, way in ways.items():
                found[name].append(self.write(prompt, drafter if way else None, way))
        return {name: Total.of(each) for name, each in found.items()}

    def flips(self, prompt: Prompt, ours: Prompt, theirs: Prompt) -> float:
        """How near to a tie the first choice is that differs: best less second best logit of the target alone."""
        at = next(place for place, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
        best = np.sort(self.verifier.begin((*prompt, *theirs[:at])).logits[0])
        return float(best[-1] - best[-2])


def desk(target: PreTrainedModel, prompts: int, length: int, new: int) -> Desk:
    """Text that neither the target nor its drafters have learned from, evenly spread."""
    text = corpus()[1]
    begins = np.linspace(0, len(text) - length, prompts).astype(int)
    return Desk(
        Verifier(target),
        [tuple(text[at : at + length].tolist()) for at in begins],
        new,
    )


def drafters(target: PreTrainedModel, steps: int, bench: Bench) -> dict[str, str]:
    """All that were trained, best first as published, and prompt lookup; as text for the family."""
    made = {
        name: trained(replace(course, recipe=replace(course.recipe, steps=steps)), target, bench.say)
        for name, course in COURSES.items()
    }
    return made | {LOOKUP: "ngram"}
