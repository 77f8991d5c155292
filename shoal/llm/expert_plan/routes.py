"""Where texts go in a model: recorded from files of text, or read as they were recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shoal.errors import InputError
from shoal.llm.checkpoint import Text
from shoal.llm.routes import recorded
from shoal.store import RoutingTrace

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from shoal.llm.expert_plan.model import Facts

TRACE = ".npz"
STRETCH = 128  # tokens that are read at once
MOST_STRETCHES = 512  # of all files together, evenly
MOST_BYTES = 64 << 20  # of a file of text


def is_trace(files: Sequence[Path]) -> bool:
    """Whether routes that were recorded are given.

    Raises:
        InputError: routes and texts, or several files of routes.
    """
    traces = [each for each in files if each.suffix == TRACE]
    if traces and len(files) > 1:
        raise InputError("one file of routes, or texts", where="--routes", had=", ".join(map(str, files)))
    return bool(traces)


def of_file(file: Path, known: Facts) -> RoutingTrace:
    """Routes that were recorded before.

    Raises:
        InputError: the file holds none, or those of a model of another shape.
    """
    found = RoutingTrace.load(file)
    needed, had = (
        "{} layers of {} experts, {} a token".format(*each)
        for each in ((known.layers, known.experts, known.per_token), (found.layers, found.experts, found.per_token))
    )
    if needed != had:
        raise InputError("routes of another model", where=str(file), needed=needed, had=had)
    return found


def of_texts(files: Sequence[Path], model: PreTrainedModel, text: Text) -> RoutingTrace:
    """Routes of texts, each file a document.

    Raises:
        InputError: a file is no text, or too short.
    """
    most = max(1, MOST_STRETCHES // len(files))
    parts = [_stretches(file, text, most) for file in files]
    numbers = np.repeat(np.arange(len(parts)), [len(each) for each in parts])
    return recorded(model, np.concatenate(parts), numbers.tolist())


def halves(trace: RoutingTrace) -> tuple[RoutingTrace, RoutingTrace]:
    """To choose a placement by, and to judge it by: every second document, or of a single one its second half.

    Raises:
        InputError: there is one token only.
    """
    if len(np.unique(trace.documents)) == 1:
        second = np.arange(trace.tokens) >= trace.tokens / 2
        trace = replace(trace, documents=second.astype(np.int32))
    return trace.split()


def _stretches(file: Path, text: Text, most: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise InputError("the text is too large", where=str(file), needed=f"{MOST_BYTES} bytes at most",
                             had=str(file.stat().st_size))  # fmt: skip
        tokens = text.tokens(file.read_text(encoding="utf-8"))
    except OSError as fault:
        raise InputError(f"cannot read: {fault.strerror}", where=str(file)) from fault
    except UnicodeDecodeError as fault:
        raise InputError("not a text file", where=str(file)) from fault
    count = min(most, len(tokens) // STRETCH)
    if not count:
        raise InputError("too short a text to record routes of", where=str(file), needed=f"{STRETCH} tokens",
                         had=str(len(tokens)))  # fmt: skip
    return np.array(tokens[: count * STRETCH], np.int64).reshape(count, STRETCH)
