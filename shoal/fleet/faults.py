"""The faults of one description, collected so that a person sees all of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shoal.errors import FleetError, UnitError


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a fleet or board file; `where` is its key path ("devices.pi.memory_limit")."""

    where: str
    what: str
    needed: str | None = None
    had: str | None = None
    hint: str | None = None
    unit: bool = False  # a written quantity that does not parse

    def error(self, file: str) -> FleetError | UnitError:
        """The error that reports this fault alone."""
        kind = UnitError if self.unit else FleetError
        where = ": ".join(part for part in (file, self.where) if part) or None
        return kind(self.what, where=where, needed=self.needed, had=self.had, hint=self.hint)

    @property
    def line(self) -> str:
        """The fault in one line, its hint included."""
        message = self.error("").message
        return f"{message}; {self.hint}" if self.hint else message


def refuse(faults: Sequence[Fault], file: str) -> None:
    """Raise one error that reports every fault, if there are any; `file` is where they were found.

    Raises:
        UnitError: all of them are written quantities that do not parse.
        FleetError: any other mixture.
    """
    if not faults:
        return
    if len(faults) == 1:
        raise faults[0].error(file)
    kind = UnitError if all(fault.unit for fault in faults) else FleetError
    lines = "".join(f"\n  {fault.line}" for fault in faults)
    raise kind(f"{len(faults)} faults{lines}", where=file or None)
