"""Every error shoal raises on purpose, in one tree.

    ShoalError
    ├── InputError            what the user gave is wrong (exit code 2)
    │   ├── UnitError         a figure without a unit, or with the wrong one
    │   ├── ModelError        a model file that cannot be read, bound or cut
    │   ├── FleetError        a fleet or board description
    │   ├── PlanError         a mapping, pin or option that contradicts the model or the fleet
    │   └── MissingExtra      an optional library that is not installed
    └── WorkError             the input was fine and the work failed (exit code 1)
        ├── LimitError        no plan, or no device, keeps a limit
        ├── ProgramError      a program that would block or lose something
        ├── WireError         a peer that speaks nonsense, an address in use, a peer that left
        ├── WorkerDied        a worker ended before its work did
        ├── PaceError         this machine cannot keep up with the boards it emulates
        ├── OutputsDiffer     the divided network does not answer like the undivided one
        └── Interrupted       somebody had it end before its work was done (exit code 130, as after Ctrl-C)

A message says what, where, needed, had, and what to try. Anything else that escapes is a defect of shoal.
"""

from __future__ import annotations


class ShoalError(Exception):
    """The root. `what` is one clause; the rest are optional and end in the message in this order.

    Args:
        what: what is wrong, as one clause ("op 'conv1' is mapped twice").
        where: the file, key, device or op it concerns.
        needed: what was needed, with its unit.
        had: what there was, with its unit.
        hint: what to try.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        needed: str | None = None,
        had: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.what, self.where, self.needed, self.had, self.hint = what, where, needed, had, hint
        super().__init__(self.message)

    @property
    def kind(self) -> str:
        """The name of the error's class, as `--json` gives it."""
        return type(self).__name__

    @property
    def message(self) -> str:
        """What, where, needed and had in one line; the hint stands apart."""
        text = f"{self.where}: {self.what}" if self.where else self.what
        facts = [f"{word} {value}" for word, value in (("needed", self.needed), ("had", self.had)) if value]
        return f"{text} ({', '.join(facts)})" if facts else text


class InputError(ShoalError):
    """What the user gave is wrong."""

    exit_code = 2


class UnitError(InputError):
    """A figure without a unit, with the wrong one, or out of range."""


class ModelError(InputError):
    """A model file that cannot be read, bound to shapes, or cut."""


class FleetError(InputError):
    """A fleet file or a board description."""


class PlanError(InputError):
    """A mapping, pin, share or option that contradicts the model or the fleet."""


class MissingExtra(InputError):
    """An optional library that is not installed; the hint is the command that installs it."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"{library} is not installed", hint=f"pip install 'shoal[{extra}]'")


class WorkError(ShoalError):
    """The input was fine and the work failed."""


class LimitError(WorkError):
    """No plan, or no device, keeps a limit."""


class ProgramError(WorkError):
    """A program that would block, or lose or invent a tensor."""


class WireError(WorkError):
    """A peer that speaks nonsense, an address in use, a peer that left."""


class WorkerDied(WorkError):
    """A worker ended before its work did."""


class PaceError(WorkError):
    """This machine cannot keep up with the boards it emulates."""


class OutputsDiffer(WorkError):
    """The divided network does not answer like the undivided one."""


class Interrupted(WorkError):
    """Somebody had it end before its work was done."""

    exit_code = 130
