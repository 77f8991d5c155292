"""The door to transformers, which is an extra."""

from __future__ import annotations

import importlib
from typing import Any

from shoal.errors import MissingExtra

_EXTRA = ("transformers", "torch", "tokenizers", "gguf")


def transformers_module(name: str = "transformers") -> Any:
    """A module that needs transformers, or transformers itself.

    Raises:
        MissingExtra: it, or what it needs, is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as fault:
        missing = (fault.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        raise MissingExtra(missing, "llm") from fault
