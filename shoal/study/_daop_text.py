"""Text of kinds that small models were not trained on, as rows of bytes; and what was recorded of a shallow model as a deep one."""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.store import NOBODY, RoutingTrace
from shoal.train.language import corpus

I64 = NDArray[np.int64]
OWNERS = ("numpy", "torch", "transformers", "safetensors")  # whose licences are installed with them


def rows(kind: str, count: int, places: int) -> I64:
    """So many stretches from all over a kind of text.

    Raises:
        InputError: there is not so much of it.
    """
    text = np.frombuffer(KINDS[kind](), np.uint8)
    every = text[: len(text) // places * places].reshape(-1, places)
    if len(every) < count:
        raise InputError(f"not enough text of the kind '{kind}'", needed=f"{count} stretches", had=str(len(every)))
    found: I64 = every[np.linspace(0, len(every) - 1, count).astype(int)].astype(np.int64)
    return found


def stacked(trace: RoutingTrace, layers: int) -> RoutingTrace:
    """Routes as of a deeper model: each group of layers is the trace's own, of another of its texts.

    Texts have to be of one length. What the first router of a group would have foreseen, nobody knows.
    """
    groups, texts = layers // trace.layers, len(np.unique(trace.documents))
    order = np.arange(trace.tokens).reshape(texts, -1)
    parts = [np.roll(order, at, axis=0).ravel() for at in range(groups)]

    def deep(values: NDArray[Any]) -> NDArray[Any]:
        return np.concatenate([values[each] for each in parts], axis=1)

    foreseen = deep(trace.foreseen)
    foreseen[:, :: trace.layers] = NOBODY
    return RoutingTrace(trace.experts, deep(trace.chosen), deep(trace.weights), foreseen, trace.documents)


def _prose() -> bytes:
    return corpus()[1].tobytes()


@lru_cache(maxsize=1)  # it takes seconds
def _code() -> bytes:
    """Modules without the docstrings and comments that models have learned."""
    found = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        tree = ast.parse(path.read_bytes())
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
                and ast.get_docstring(node) is not None
            ):
                node.body = node.body[1:] or [ast.Pass()]
        found.append(ast.unparse(tree))
    return "\n\n".join(found).encode("ascii", "replace")


def _licences() -> bytes:
    return b"\n\n".join(_installed())


def _installed() -> Iterator[bytes]:
    for name in OWNERS:
        try:
            files = distribution(name).files or []
        except PackageNotFoundError:
            continue
        for each in files:
            if each.name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE")) and each.suffix in (
                "",
                ".txt",
            ):
                yield Path(str(each.locate())).read_bytes()


KINDS: Mapping[str, Callable[[], bytes]] = {"prose": _prose, "code": _code, "licences": _licences}
