"""Draft, verify, accept: the target's own text, several tokens at a time."""

from __future__ import annotations

import time
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from shoal.errors import InputError, ModelError, WireError, WorkerDied
from shoal.llm.drafting.accept import accept_drawn, accept_greedy
from shoal.llm.drafting.drafters.contract import F16, Ask, Drafter, Session
from shoal.llm.drafting.sampling import distributions, drawing
from shoal.llm.drafting.tree import Budget, Tree, nothing
from shoal.llm.drafting.verifier import Scores, Verifier

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.service import Sampling


@dataclass(frozen=True)
class Round:
    """One pass of the target: it gives one token more than were accepted."""

    levels: int  # of the tree
    offered: int  # tokens of it
    accepted: int
    bytes: int  # to and from a drafter in another process
    draft_s: float  # until the tree was there, the link included
    target_s: float  # of the pass, with accepting and forgetting


@dataclass(frozen=True)
class Drafted:
    """What was written."""

    tokens: tuple[int, ...]  # new ones; the first comes from the prompt's pass, the others from rounds
    log: tuple[Round, ...]
    left: str = ""  # why the drafter was not heard any more; the target then went on by itself

    @property
    def rounds(self) -> int:
        """Passes of the target after the prompt's."""
        return len(self.log)

    @property
    def accepted(self) -> int:
        """Drafted tokens that the target took over."""
        return sum(each.accepted for each in self.log)

    @property
    def bytes(self) -> int:
        """To and from a drafter in another process."""
        return sum(each.bytes for each in self.log)

    @property
    def length(self) -> float:
        """τ: tokens accepted a round."""
        return self.accepted / self.rounds if self.rounds else 0.0

    @property
    def seconds(self) -> float:
        """Of all rounds."""
        return sum(each.draft_s + each.target_s for each in self.log)


class Pilot(Protocol):
    """What says how much to draft while the text grows; `tuner.Tuner` is one."""

    def budget(self) -> Budget | None:
        """Of the next round; none: do not draft."""

    def saw(self, found: Round) -> None:
        """What came of it."""


def generate(
    target: PreTrainedModel | Verifier,
    prompt: Sequence[int],
    new_tokens: int,
    *,
    drafter: Drafter | None = None,
    tree: Budget | Pilot | None = None,
    sampling: Sampling | None = None,
    stop: Container[int] = (),
) -> Drafted:
    """Continue a text as the target alone would: the same tokens if greedy, the same distribution if drawn.

    Args:
        target: a causal model of transformers.
        prompt: tokens.
        new_tokens: at most so many.
        drafter: of `llm/drafting/drafters`, or `elsewhere`; none: the target alone.
        tree: how much is drafted a round; none: a chain of four. A `Tuner` changes it on the way.
        sampling: none: greedy.
        stop: the text ends after one of these tokens.

    Raises:
        InputError: an empty prompt, tokens that the target does not know, more than its context.
        ModelError: drafter and target differ in vocabulary or width, or what the target remembers cannot be taken back.
    """
    verifier = target if isinstance(target, Verifier) else Verifier(target)
    if new_tokens < 1 or len(prompt) + new_tokens > verifier.context:
        raise InputError("the target has no room for so many tokens", needed=f"1 to {verifier.context - len(prompt)} new",
                         had=str(new_tokens))  # fmt: skip
    if drafter is not None:
        _check(drafter, verifier)
    text = _Text(verifier, drafter, sampling)
    pilot = tree if tree is not None and not isinstance(tree, Budget) else None
    fixed = tree if isinstance(tree, Budget) else Budget()
    text.begin(prompt)
    log: list[Round] = []
    while (room := new_tokens - len(text.new)) > 0 and not any(token in stop for token in text.newest):
        wanted = pilot.budget() if pilot else fixed
        log.append(text.round(wanted.within(room - 1) if wanted else Budget.chain(0)))
        if pilot:
            pilot.saw(log[-1])
    ended = next((at + 1 for at, token in enumerate(text.new) if token in stop), new_tokens)
    return Drafted(tuple(text.new[: min(ended, new_tokens)]), tuple(log), text.left)


def _check(drafter: Drafter, verifier: Verifier) -> None:
    if drafter.vocabulary not in (0, verifier.vocabulary):
        raise ModelError("drafter and target have different vocabularies", needed=f"{verifier.vocabulary} tokens",
                         had=str(drafter.vocabulary))  # fmt: skip
    if drafter.width not in (0, verifier.width):
        raise ModelError("the drafter reads features of another width", needed=str(verifier.width),
                         had=str(drafter.width))  # fmt: skip


class _Text:
    """A text that grows; what the drafter has not been told yet."""

    def __init__(self, verifier: Verifier, drafter: Drafter | None, sampling: Sampling | None) -> None:
        self._verifier = verifier
        self._sampling = sampling if sampling and sampling.temperature else None  # none: greedy
        seed = 2 * abs(sampling.seed) if sampling else 0  # the drafter's draws are others
        self._draw = drawing(seed)
        self._session: Session | None = drafter.begin(seed + 1) if drafter else None
        self._reads = drafter.width if drafter else 0
        self._tokens: list[int] = []
        self._features: list[F16] = []
        self.new: list[int] = []
        self.newest: list[int] = []  # of the last round
        self.left = ""

    def begin(self, prompt: Sequence[int]) -> None:
        """Read the prompt; the first new token comes of it."""
        scores = self._verifier.begin(prompt)
        self._tokens = list(prompt)
        self._features = [scores.features]
        self._take([self._accepted(nothing(), scores)[1]])

    def round(self, budget: Budget) -> Round:
        """Draft, verify, accept."""
        before_bytes, begun = self._bytes(), time.perf_counter()
        tree = self._drafted(budget) if budget.tokens and self._session else nothing()
        drafted = time.perf_counter()
        scores = self._verifier.score(self.new[-1], tree)
        path, token = self._accepted(tree, scores)
        self._verifier.commit(tree, path)
        self._features.append(scores.features[[0, *(node + 1 for node in path)]])
        self._take([*tree.tokens[list(path)].tolist(), token])
        levels = int(tree.depths.max()) if len(tree) else 0
        return Round(levels, len(tree), len(path), self._bytes() - before_bytes, drafted - begun,
                     time.perf_counter() - drafted)  # fmt: skip

    def _drafted(self, budget: Budget) -> Tree:
        """The drafter's tree; none from now on if it is gone or talks nonsense."""
        assert self._session is not None
        features = np.concatenate(self._features) if self._reads else np.zeros((0, 0), np.float16)
        temperature = self._sampling.temperature if self._sampling else 0.0
        ask = Ask(np.array(self._tokens, np.int32), features, budget, temperature)
        try:
            found = self._session.propose(ask)
            found.check(self._verifier.vocabulary, budget.tokens)
        except (WorkerDied, WireError) as fault:
            self._session, self.left = None, fault.message
            return nothing()
        self._tokens, self._features = [], []
        return found

    def _accepted(self, tree: Tree, scores: Scores) -> tuple[tuple[int, ...], int]:
        if self._sampling is None:
            found = accept_greedy(tree, scores.logits)
        else:
            found = accept_drawn(tree, distributions(self._sampling, scores.logits), self._draw)
        return found.path, found.token

    def _take(self, tokens: list[int]) -> None:
        self.newest = tokens
        self.new += tokens
        self._tokens += tokens

    def _bytes(self) -> int:
        return int(getattr(self._session, "bytes", 0))
