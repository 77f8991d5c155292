"""The door to torch, which is an extra."""

from __future__ import annotations

import importlib
from typing import Any

from shoal.errors import MissingExtra


def torch_module(name: str = "torch") -> Any:
    """A module that needs torch, or torch itself.

    Raises:
        MissingExtra: torch is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as fault:
        if (fault.name or "").partition(".")[0] != "torch":
            raise
        raise MissingExtra("PyTorch", "train") from fault
