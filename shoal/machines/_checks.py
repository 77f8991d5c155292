"""What a machine refuses: sizes that are none, and tensors that do not fit."""

from __future__ import annotations

from collections.abc import Iterable

from shoal.errors import InputError, LimitError
from shoal.units import format_bytes


def check_above_zero(machine: object, names: Iterable[str], where: str, *, what: str = "a machine") -> None:
    """Refuse a machine of which a field among `names` is not more than zero.

    Raises:
        InputError: with the first such field.
    """
    for name in names:
        if not getattr(machine, name) > 0:  # nor is what is not a number
            raise InputError(f"{what} with {name} {getattr(machine, name)}", where=where, needed="more than zero")


def check_fits(
    tensor: str, needed_bytes: int, had_bytes: int, where: str, *, place: str = "into the machine's memory",
    hint: str | None = None,
) -> None:  # fmt: skip
    """Refuse a tensor that is larger than its `place`.

    Raises:
        LimitError: with the tensor and both sizes.
    """
    if needed_bytes > had_bytes:
        raise LimitError(f"does not fit {place}", where=f"{where}, tensor '{tensor}'",
                         needed=format_bytes(needed_bytes), had=format_bytes(had_bytes), hint=hint)  # fmt: skip
