"""Modules that stand beside the package in the repository and are no part of it: its examples and benches."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

from shoal import catalog
from shoal.errors import InputError


def beside(name: str) -> Any:
    """The module of that name, "examples.models.minilm".

    Raises:
        InputError: the package was installed without the repository.
    """
    root = catalog.ROOT.parent
    if not (root / f"{name.replace('.', '/')}.py").exists():
        raise InputError("stands beside the package, in the repository", where=name,
                         hint="run the study from a copy of the repository")  # fmt: skip
    if str(root) not in sys.path:
        sys.path.append(str(root))
    return import_module(name)
