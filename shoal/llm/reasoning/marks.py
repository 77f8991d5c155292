"""How a model's text tells thinking from answering."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.errors import InputError


@dataclass(frozen=True)
class Marks:
    """Tokens that divide what a model writes: thinking, `close`, one of `choices`.

    Raises:
        InputError: no closing tokens or no choices.
    """

    close: tuple[int, ...]  # end the thinking and announce the answer: "</think> Final answer:"
    choices: tuple[int, ...]  # the tokens that are an answer
    end: int  # after the answer; instead of `close` it is a text without an answer

    def __post_init__(self) -> None:
        if not self.close or not self.choices:
            raise InputError("thinking that cannot be closed, or nothing to answer with", where="marks")
