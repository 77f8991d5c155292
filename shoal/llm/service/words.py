"""Tokens to text as they come: whole characters only, and nothing of what ends the text."""

from __future__ import annotations

from collections.abc import Sequence

from shoal.llm.checkpoint import Text

HALF = "\ufffd"  # stands for half a character


class Words:
    """The text of a growing list of tokens, piece by piece."""

    def __init__(self, text: Text, stops: Sequence[str] = ()) -> None:
        self._text, self._stops = text, tuple(stops)
        self._tokens: list[int] = []
        self._start = self._sent = 0  # what is decoded again each time begins at `start`; up to `sent` it was given
        self._held = ""  # may be the beginning of a stop
        self.stopped = False

    def add(self, token: int) -> str:
        """What can be given now that this token is there."""
        self._tokens.append(token)
        known = self._text.text(self._tokens[self._start : self._sent])
        now = self._text.text(self._tokens[self._start :])
        if now.endswith(HALF):
            return ""
        self._start, self._sent = self._sent, len(self._tokens)
        return self._checked(now[len(known) :])

    def rest(self) -> str:
        """What was held back, once no more tokens come."""
        if self.stopped:
            return ""
        known = self._text.text(self._tokens[self._start : self._sent])
        last = self._text.text(self._tokens[self._start :])[len(known) :] if self._sent < len(self._tokens) else ""
        return self._checked(last) + ("" if self.stopped else self._held)

    def _checked(self, new: str) -> str:
        whole = self._held + new
        ends = [at for stop in self._stops if (at := whole.find(stop)) >= 0]
        if ends:
            self.stopped, self._held = True, ""
            return whole[: min(ends)]
        kept = max((_overlap(whole, stop) for stop in self._stops), default=0)
        self._held = whole[len(whole) - kept :]
        return whole[: len(whole) - kept]


def _overlap(text: str, stop: str) -> int:
    """Characters at the end of `text` that `stop` begins with."""
    return next((size for size in range(min(len(text), len(stop) - 1), 0, -1) if text.endswith(stop[:size])), 0)
