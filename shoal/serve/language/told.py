"""One answer of a language model: pieces of text as they come, then why it ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from shoal.errors import WorkError
from shoal.llm.checkpoint import Text
from shoal.llm.service import Ended, Generator, Request, Words


@dataclass(frozen=True)
class Done:
    """The end of an answer."""

    reason: str  # as OpenAI calls it: "stop", "length"
    prompt_tokens: int
    tokens: int


async def told(
    generator: Generator, text: Text, request: Request, stops: Sequence[str]
) -> AsyncIterator[str | Done]:
    """Pieces of text, none of them empty, and at last a Done. Who leaves before that cancels it.

    Raises:
        InputError: the prompt does not fit.
        WorkError: the devices were lost and nobody could go on.
    """
    loop, came = asyncio.get_running_loop(), asyncio.Queue[int | Ended]()
    stream = generator.ask(request, lambda each: loop.call_soon_threadsafe(came.put_nowait, each))
    words, ended, count = Words(text, stops), None, 0
    try:
        while ended is None:
            each = await came.get()
            if isinstance(each, Ended):
                ended = each
                continue
            count += 1
            piece = words.add(each)
            if piece:
                yield piece
            if words.stopped:
                break
    finally:
        if ended is None:
            stream.cancel()
    if ended is not None and ended.reason in ("lost", "cancelled"):
        raise WorkError(f"the answer ended early: {ended.why or ended.reason}")
    rest = words.rest()
    if rest:
        yield rest
    stopped = words.stopped or (ended is not None and ended.reason == "stop")
    yield Done("stop" if stopped else "length", len(request.tokens), count)
