"""Text to learn from and to test with: what Python's own library says about itself."""

from __future__ import annotations

import ast
import hashlib
import pydoc_data.topics
import re
import sys
import sysconfig
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal import cache

U8 = NDArray[np.uint8]
HELD_OUT = 16  # one paragraph of so many is not learned from
PARTS = ("learned", "held")
_ASIDE = ("site-", "dist-", "test", "idlelib", "lib2to3", "config-")


@lru_cache(maxsize=1)
def corpus() -> tuple[U8, U8]:
    """Bytes to learn from and bytes held out: about 1.8 and 0.1 MB.

    A paragraph's own hash decides where it belongs, so that what one version of Python has learned from, no other
    tests with; what stands twice is taken once. Read from the library once, then from the cache.
    """
    source = Path(__file__).read_bytes() + f"{sys.version}{sysconfig.get_path('stdlib')}".encode()
    kept = cache.entry("text", hashlib.sha256(source).hexdigest(), _write)
    learned, held = (np.frombuffer((kept / name).read_bytes(), np.uint8) for name in PARTS)
    return learned, held


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


def _write(folder: Path) -> None:
    parts: dict[bool, list[bytes]] = {True: [], False: []}
    for paragraph in dict.fromkeys(_paragraphs()):
        found = paragraph.encode("utf-8") + b"\n\n"
        parts[bool(hashlib.sha256(found).digest()[0] % HELD_OUT)].append(found)
    for name, learned in zip(PARTS, (True, False), strict=True):
        (folder / name).write_bytes(b"".join(parts[learned]))
