"""What the members of a group are asked, and what they answer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """Text after a prompt, once for each way to exchange."""

    folder: str  # of the kept model
    tokens: tuple[int, ...]  # read in the first step
    new: int  # tokens then given one by one, the likeliest each time
    ways: tuple[str, ...]  # of `wire/collectives`, with their options


@dataclass(frozen=True)
class Answer:
    """What a member says of one way."""

    given: tuple[int, ...]
    logits: tuple[float, ...]  # of the last place of the first step
    seconds: tuple[float, ...]  # of each step
    sent_bytes: int  # to the others


@dataclass(frozen=True)
class Share:
    """One member's answers."""

    weight_bytes: int
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Told:
    """What all members say, with one voice, of one way."""

    given: tuple[int, ...]
    logits: tuple[float, ...]
    seconds: tuple[float, ...]  # of each step, until the last member had done it
    sent_bytes: tuple[int, ...]  # by member
    weight_bytes: tuple[int, ...]
