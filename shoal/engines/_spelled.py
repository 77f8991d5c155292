"""What the text of an engine says: its name, and the machine that it simulates."""

from __future__ import annotations

from shoal import catalog

SIMULATED = "simulated"


def engine_name(text: str) -> str:
    """The engine without its options."""
    return text.partition(":")[0]


def machine_of(text: str) -> str | None:
    """The machine that is simulated, with its options; none: the engine runs on what is there.

    Raises:
        InputError: unknown option of the engine.
    """
    if engine_name(text) != SIMULATED:
        return None
    machine: str = catalog.make("engines", text).machine
    return machine
