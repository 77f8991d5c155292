"""Real English text that every machine has: what Python's own library says about itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

# Long-standing, quick to import, well described.
MODULES = (
    "decimal", "argparse", "collections", "configparser", "csv", "datetime", "difflib", "doctest", "email.message",
    "fractions", "functools", "heapq", "inspect", "ipaddress", "itertools", "json", "locale", "logging", "mailbox",
    "math", "optparse", "pathlib", "pickletools", "random", "shutil", "smtplib", "socket", "sqlite3", "statistics",
    "string", "subprocess", "tarfile", "tempfile", "textwrap", "threading", "unittest.mock",
    "urllib.parse", "zipfile",
)  # fmt: skip


def prose(most: int = 1 << 20) -> str:
    """Descriptions one after another, at most so many characters, always in the same order."""
    parts: list[str] = []
    length = 0
    for name in MODULES:
        for text in dict.fromkeys(_texts(import_module(name))):
            parts.append(text)
            length += len(text) + 2
            if length >= most:
                return "\n\n".join(parts)[:most]
    return "\n\n".join(parts)[:most]


def passages(count: int, least: int = 400) -> tuple[str, ...]:
    """So many descriptions of at least `least` characters, spread over all there are."""
    found = [
        text
        for name in MODULES
        for text in dict.fromkeys(_texts(import_module(name)))
        if len(text) >= least and ">>>" not in text
    ]
    step = max(1, len(found) // count)
    return tuple(found[::step][:count])


def _texts(module: ModuleType) -> Iterator[str]:
    """What a module, its classes and functions, and their methods say."""
    yield from _said(module)
    for name, member in sorted(vars(module).items()):
        if name.startswith("_") or getattr(member, "__module__", None) != module.__name__:
            continue
        yield from _said(member)
        if inspect.isclass(member):
            for inner, method in sorted(vars(member).items()):
                if not inner.startswith("_"):
                    yield from _said(method)


def _said(thing: object) -> Iterator[str]:
    text = getattr(thing, "__doc__", None)
    if isinstance(text, str) and len(text) > 80:
        yield inspect.cleandoc(text)
