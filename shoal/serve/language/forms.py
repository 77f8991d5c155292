"""Answers as OpenAI's clients read them: whole, or as server-sent events."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shoal import codec
from shoal.serve.language.told import Done


@dataclass(frozen=True)
class Form:
    """How the answers of one request are written."""

    chat: bool
    model: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, texts: Sequence[str], ends: Sequence[Done]) -> dict[str, Any]:
        """All choices at once."""
        return self._head("") | {
            "choices": [self._choice(at, text, ends[at].reason) for at, text in enumerate(texts)],
            "usage": usage(ends),
        }

    def piece(self, at: int, text: str | None, reason: str | None = None, *, first: bool = False) -> bytes:
        """An event: more of one choice, or its end."""
        if self.chat:
            delta: dict[str, str] = {"role": "assistant"} if first else {}
            choice: dict[str, Any] = {"index": at, "delta": delta | ({} if text is None else {"content": text})}
        else:
            choice = {"index": at, "text": text or "", "logprobs": None}
        return event(self._head(".chunk") | {"choices": [choice | {"finish_reason": reason}]})

    def used(self, ends: Sequence[Done]) -> bytes:
        """An event: the numbers of tokens."""
        return event(self._head(".chunk") | {"choices": [], "usage": usage(ends)})

    def _choice(self, at: int, text: str, reason: str) -> dict[str, Any]:
        said: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if self.chat else {"text": text}
        return {"index": at, "finish_reason": reason, "logprobs": None} | said

    def _head(self, part: str) -> dict[str, Any]:
        kind, prefix = (f"chat.completion{part}", "chatcmpl") if self.chat else ("text_completion", "cmpl")
        return {"id": f"{prefix}-{self.id}", "object": kind, "created": self.created, "model": self.model}


END = b"data: [DONE]\n\n"


def event(content: Mapping[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + codec.encode(content) + b"\n\n"


def usage(ends: Sequence[Done]) -> dict[str, int]:
    """Tokens of prompts, each counted once, and of answers."""
    prompts, answers = ends[0].prompt_tokens if ends else 0, sum(each.tokens for each in ends)
    return {"prompt_tokens": prompts, "completion_tokens": answers, "total_tokens": prompts + answers}
