"""The small decoder as a folder, prepared, and a fleet of two."""

from __future__ import annotations

from pathlib import Path

from shoal import fleet
from shoal.fleet import Fleet
from shoal.llm.checkpoint import Kept, Wanted, prepared
from shoal.llm.tiny import save_folder, tiny

TWO = """
[devices.left]
board = "this-machine"
cores = [0]
[devices.right]
board = "this-machine"
cores = [0]
[default_link]
bandwidth = "1 GB/s"
latency = "50 us"
"""


def two() -> Fleet:
    return fleet.loads(TWO)


def small(folder: Path, context: int = 256, parts: int = 4) -> Kept:
    """The small decoder, prepared."""
    return prepared(save_folder(tiny("llama"), folder / "small"), Wanted(context=context, head_parts=parts))
