"""Students answer under budgets and by vote: what they reach, and how long it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from shoal import catalog
from shoal.llm.reasoning import (
    Chains,
    Control,
    Decode,
    Drawn,
    Latency,
    Option,
    Prefill,
    Score,
    chains,
    fit_decode,
    scored,
    voted,
)
from shoal.measure.clocked import own_clock
from shoal.study._edge_task import FREE, MARKS, STEP_BYTES, Question, asked
from shoal.train.library import torch_threads

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TOLD = len(MARKS.close) + 1  # tokens of closing and answer
LATE = 95  # percent of the questions whose answers are no longer than the one that is foreseen
TIMED = 6  # questions that are answered one by one for the formulas of latency


@dataclass(frozen=True, eq=False)
class Student:
    """A trained model that is asked."""

    name: str
    model: PreTrainedModel
    slots: int
    steps: bool  # writes them out
    temperature: float

    def answered(self, questions: Sequence[Question], control: Control, samples: int = 1, seed: int = 0) -> Chains:
        """All questions at once."""
        hint = str(control.tokens // STEP_BYTES) if control.method == "asked" else FREE
        drawn = Drawn(samples, self.temperature if samples > 1 else 0.0, 2 * STEP_BYTES * self.slots + TOLD, seed)
        with torch_threads():
            return chains(self.model, asked(list(questions), self.slots, hint), MARKS, control, drawn, own_clock(1))

    def scored(self, questions: Sequence[Question], control: Control, samples: int = 1, seed: int = 0) -> Answered:
        """By vote, if there are several samples."""
        return Answered.of(self.answered(questions, control, samples, seed), questions, samples)

    def timed(self, questions: Sequence[Question], widths: Sequence[int]) -> Latency:
        """Formulas fitted to answers of single questions; all prompts are of one length."""
        points, firsts = list[tuple[int, float, int]](), list[float]()
        prompt = 2 * self.slots + 2
        for question in questions[: TIMED + 1]:
            for wide in widths:
                found = self.answered([question], Control("cut", STEP_BYTES * self.slots), wide)
                firsts.append(found.prefill_s)
                points += [(prompt + at, each, wide) for at, each in enumerate(found.steps_s)]
        first = len(points) // (TIMED + 1)  # the first question warms up
        decode = fit_decode(*zip(*points[first:], strict=True))
        return Latency(Prefill(0.0, 0.0, float(np.median(firsts)), longest=prompt), _single(decode, widths))


@dataclass(frozen=True)
class Answered:
    """What a student reached."""

    score: Score
    thought: float  # tokens of thinking, mean
    late: int  # tokens of the longest sample, closing and answer included, at LATE percent of the questions
    compliant: float  # share of the chains that thought no longer than `tokens`, if there is a budget

    @staticmethod
    def of(found: Chains, questions: Sequence[Question], samples: int, limit: int = 0) -> Answered:
        """Of the first so many samples."""
        answers, thought = found.answers[:, :samples], found.thought[:, :samples]
        wanted = np.array([each.answer for each in questions], np.int64)
        late = int(np.ceil(np.percentile(thought.max(axis=1), LATE))) + TOLD
        told = scored(voted(answers, found.scores[:, :samples]), wanted)
        return Answered(told, float(thought.mean()), late, float((thought <= limit).mean()) if limit else 1.0)


def _single(decode: Decode, widths: Sequence[int]) -> Decode:
    return decode if len(widths) > 1 else Decode(decode.weights_s, 0.0, decode.seen_s, decode.longest)


@dataclass(frozen=True, eq=False)
class Class:
    """Students, and the questions that they are asked."""

    students: tuple[Student, ...]
    questions: tuple[Question, ...]
    votes: tuple[int, ...]  # samples
    seed: int

    @property
    def slots(self) -> int:
        """Operations of the longest question."""
        return self.students[0].slots

    @property
    def budgets(self) -> tuple[int, ...]:
        """Bytes of thinking, step by step, up to what the longest question needs."""
        return tuple(STEP_BYTES * each for each in range(1, self.slots + 1))

    @property
    def wishes(self) -> tuple[int, ...]:
        """Budgets that a prompt may ask for: those that were learned."""
        return self.budgets[: self.slots]

    @property
    def thinkers(self) -> tuple[Student, ...]:
        """Those that write steps, smallest first."""
        return tuple(each for each in self.students if each.steps)

    @cached_property
    def curves(self) -> dict[tuple[str, Control], Answered]:
        """Each student under each budget, one greedy chain."""
        found: dict[tuple[str, Control], Answered] = {}
        for student in self.students:
            for control in self.controls(student):
                chained = student.answered(self.questions, control)
                found[student.name, control] = Answered.of(chained, self.questions, 1, control.tokens)
        return found

    @cached_property
    def votings(self) -> dict[tuple[str, int], Answered]:
        """Each thinker by vote of more and more samples, the former among the latter."""
        found: dict[tuple[str, int], Answered] = {}
        for student in self.thinkers:
            drawn = student.answered(self.questions, Control(), max(self.votes), self.seed)
            found |= {(student.name, each): Answered.of(drawn, self.questions, each) for each in self.votes}
        return found

    @cached_property
    def latencies(self) -> dict[str, Latency]:
        """Of each student."""
        return {each.name: each.timed(self.questions, self.votes if each.steps else (1,)) for each in self.students}

    def controls(self, student: Student) -> tuple[Control, ...]:
        """What a student is tried with."""
        if not student.steps:
            return (Control("none"),)
        cuts = [Control("cut", each) for each in self.budgets]
        wishes = [Control("asked", each) for each in self.wishes]
        return (Control("none"), *cuts, *wishes, Control())

    def options(self) -> Iterator[Option]:
        """Every configuration with its accuracy and its foreseen latency and energy."""
        watts = catalog.make("measure/meters", "model")
        power_w = watts.idle_w + watts.core_w
        prompt = 2 * self.slots + 2
        tried = [(name, control, 1, each) for (name, control), each in self.curves.items()]
        tried += [(name, Control(), samples, each) for (name, samples), each in self.votings.items() if samples > 1]
        for name, control, samples, each in tried:
            seconds = self.latencies[name].seconds(prompt, each.late - 1, samples)
            yield Option(name, control, samples, each.score, seconds, power_w * seconds)
