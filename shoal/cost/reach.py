"""What a unit can run, how fast at its best, and what it draws meanwhile."""

from __future__ import annotations

from shoal.errors import PlanError
from shoal.fleet import OperatingPoint, Unit


def peak_flop_per_s(name: str, unit: Unit, engine: str, number_format: str) -> float:
    """The peak of `unit` in `number_format`, or in float32 if the board does not state that format.

    Args:
        name: "device/unit", for the error.
        unit: the unit itself.
        engine: who would run there; the unit must list it.
        number_format: "float32", "int8" …

    Raises:
        PlanError: the unit does not list the engine, or states neither the format nor float32.
    """
    if engine not in unit.engines:
        raise PlanError(
            f"no engine '{engine}' there", where=name, had=", ".join(unit.engines) or "none",
            hint="choose one of those, or add it to the unit's engines in the fleet file",
        )  # fmt: skip
    peaks = unit.peak_flop_per_s
    if number_format not in peaks and "float32" not in peaks:
        raise PlanError(f"cannot compute in {number_format}", where=name, had=", ".join(peaks) or "no peak stated")
    return peaks[number_format] if number_format in peaks else peaks["float32"]


def operating_point(name: str, unit: Unit, point: str) -> OperatingPoint:
    """The operating point `point` of `unit`; "" is the unit as stated.

    Raises:
        PlanError: the unit has no such point.
    """
    if not point:
        return OperatingPoint("", 1.0, unit.busy_w)
    for each in unit.operating_points:
        if each.name == point:
            return each
    had = ", ".join(each.name for each in unit.operating_points)
    raise PlanError(f"no operating point '{point}'", where=name, had=had or "none")
