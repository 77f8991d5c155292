"""Text to learn from and to test with: what Python's own library says about itself."""

from __future__ import annotations

import ast
import hashlib
import pydoc_data.topics
import re
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

U8 = NDArray[np.uint8]
HELD_OUT = 16  # one paragraph of so many is not learned from
_ASIDE = ("site-", "dist-", "test", "idlelib", "lib2to3", "config-")


@lru_cache(maxsize=1)
def corpus() -> tuple[U8, U8]:
    """Bytes to learn from and bytes held out: about 1.8 and 0.1 MB.

    A paragraph's own hash decides where it belongs, so that what one version of Python has learned from, no other
    tests with; what stands twice is taken once.
    """
    learned: list[bytes] = []
    held: list[bytes] = []
    for paragraph in dict.fromkeys(_paragraphs()):
        found = paragraph.encode("utf-8") + b"\n\n"
        (learned if hashlib.sha256(found).digest()[0] % HELD_OUT else held).append(found)
    return _bytes(learned), _bytes(held)


def docstrings() -> Iterator[str]:
    """What the standard library's modules, classes and functions say, in the order of their files."""
    folder = Path(sysconfig.get_path("stdlib"))
    for path in sorted(folder.glob("*.py")) + sorted(folder.glob("[a-z]*/*.py")):
        if path.parent.name.startswith(_ASIDE):
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (SyntaxError, ValueError, OSError):  # such files are there on purpose
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                found = ast.get_docstring(node)
                if found:
                    yield found


def _paragraphs() -> Iterator[str]:
    topics = (text for _, text in sorted(pydoc_data.topics.topics.items()))
    for text in (*topics, *docstrings()):
        yield from (each.strip("\n") for each in re.split(r"\n\s*\n", text) if each.strip())


def _bytes(parts: list[bytes]) -> U8:
    return np.frombuffer(b"".join(parts), np.uint8)
