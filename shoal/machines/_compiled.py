"""Loops over arrays where every unit of a machine may act each cycle: compiled by numba, or run as written without it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
R = TypeVar("R")
_as_written: list[bool] = []  # not empty while `plain` loads a module


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """A function over numpy arrays and numbers, as machine code that is kept on disk; unchanged where numba is missing.

    Numba takes half a second to import, so a module that uses this is imported where a machine runs, not at its top.
    """
    return _made(function, cache=True)


def uncounted(function: Callable[P, R]) -> Callable[P, R]:
    """The same for a function that makes no arrays: references are not counted in it, most of what a cycle loop would spend."""
    return _made(function, cache=True, _nrt=False)


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """A part of an uncounted function, written into it where it is called: to hand on many arrays takes longer than its work."""
    return _made(function, inline="always", _nrt=False)


def _made(function: Callable[P, R], **options: bool | str) -> Callable[P, R]:
    if _as_written:
        return function
    try:
        from numba import njit
    except ImportError:
        return function
    return cast(Callable[P, R], njit(error_model="numpy", **options)(function))


def plain(module: ModuleType) -> ModuleType:
    """A second copy of `module` whose own functions run as written: what tests hold the compiled ones against."""
    spec = spec_from_file_location(f"{module.__name__}_plain", str(module.__file__))
    if spec is None or spec.loader is None:
        raise ValueError(f"{module.__name__} has no source; a defect of ours")
    copy = module_from_spec(spec)
    sys.modules[spec.name] = copy  # dataclasses look their module up
    _as_written.append(True)
    try:
        spec.loader.exec_module(copy)
    finally:
        _as_written.pop()
        del sys.modules[spec.name]
    return copy
