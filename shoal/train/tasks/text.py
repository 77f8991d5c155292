"""Which module of Python's standard library a piece of documentation is from."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.train.data import Data

MODULES = ("_pydecimal", "difflib", "statistics", "typing")
KNOWN = " abcdefghijklmnopqrstuvwxyz0.,()[]='\"->_:"  # each a symbol; all digits are 0, anything else is the last
OTHER = len(KNOWN)
BLOCK = 1024  # letters that are all for training or all for testing


@dataclass(frozen=True)
class Text:
    """Stretches of docstrings, letter by letter; a class is a module. Which ones depends on the Python that runs.

    Stretches to learn from overlap each other, and none to test with.
    """

    length: int = 64  # letters of an item; a square number, as nets see a square of them

    pictures = False

    def load(self) -> Data:
        """See `Task.load`."""
        if not 4 <= self.length <= BLOCK:
            raise InputError("a text of too few or too many letters", needed=f"4 to {BLOCK}", had=str(self.length))
        parts: list[tuple[NDArray[Any], NDArray[np.int64]]] = []
        for step, tested in ((max(1, self.length // 4), False), (self.length, True)):
            found = [self._stretches(module, step, tested) for module in MODULES]
            each = min(len(stretches) for stretches in found)
            x = np.concatenate([stretches[_spread(len(stretches), each)] for stretches in found])
            parts.append((x, np.repeat(np.arange(len(MODULES)), each)))
        return Data(*parts[0], *parts[1], len(MODULES), OTHER + 1)

    def _stretches(self, module: str, step: int, tested: bool) -> NDArray[np.int64]:
        """(n, length) symbols, so many letters apart, of each fourth block of the text or of the others."""
        plain = " ".join(" ".join(_docstrings(module)).lower().split())
        codes = np.array([_symbol(letter) for letter in plain], np.int64)
        blocks = codes[: len(codes) // BLOCK * BLOCK].reshape(-1, BLOCK)
        chosen = blocks[[at for at in range(len(blocks)) if (at % 4 == 3) == tested]]
        if not len(chosen):
            raise InputError("too little documentation", where=module, had=f"{len(codes)} letters")
        windows = np.lib.stride_tricks.sliding_window_view(chosen, self.length, axis=1)[:, ::step]
        return np.ascontiguousarray(windows).reshape(-1, self.length)


def _symbol(letter: str) -> int:
    place = KNOWN.find("0" if letter.isdigit() else letter)
    return OTHER if place < 0 else place


def _docstrings(module: str) -> Iterator[str]:
    """Read from the source: the module is not imported."""
    spec = find_spec(module)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise InputError("Python is installed without the sources of its library", where=module)
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""


def _spread(count: int, wanted: int) -> NDArray[np.int64]:
    """`wanted` indices below `count`, evenly spread."""
    return (np.arange(wanted) * count) // wanted
