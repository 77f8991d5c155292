"""Texts of several kinds, and where small trained models send their bytes."""

from __future__ import annotations

import ast
import pydoc_data.topics
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from shoal.llm.routes import recorded
from shoal.llm.tiny import tiny
from shoal.store import RoutingTrace

STRETCH = 128  # bytes read at once
KINDS = ("docstrings", "topics", "source")


def routes(model: str, kinds: Sequence[str], documents: int, stretches: int) -> RoutingTrace:
    """So many documents of each kind, so many stretches of each document."""
    texts = [text for kind in kinds for text in _texts(kind, documents, stretches * STRETCH)]
    symbols = np.stack([np.frombuffer(text, np.uint8) for text in texts]).astype(np.int64)
    numbers = np.repeat(np.arange(len(texts)), stretches)
    return recorded(tiny(model).module(), symbols.reshape(-1, STRETCH), numbers.tolist())


def _texts(kind: str, count: int, size: int) -> list[bytes]:
    """The beginnings of so many that are long enough, from all over the library."""
    long = [text[:size] for text in map(str.encode, _WAYS[kind]()) if len(text) >= size]
    return [long[at * len(long) // count] for at in range(count)]


def _topics() -> Iterator[str]:
    yield from (text for _, text in sorted(pydoc_data.topics.topics.items()))


def _files(half: int) -> list[Path]:
    """Modules of which docstrings are read are not those of which the source is."""
    return sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))[half::2]


def _docstrings() -> Iterator[str]:
    for path in _files(0):
        nodes = ast.walk(ast.parse(path.read_bytes()))
        found = [ast.get_docstring(n) for n in nodes if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)]
        yield "\n\n".join(filter(None, found))


def _source() -> Iterator[str]:
    yield from (path.read_text(encoding="utf-8") for path in _files(1))


_WAYS = {"docstrings": _docstrings, "topics": _topics, "source": _source}
