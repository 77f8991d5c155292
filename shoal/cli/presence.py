"""Who is there in a living fleet: as a table that is renewed, or as JSON."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from shoal.control import Control, Sighting
from shoal.units import format_bytes

FIRST_S = 2.5  # for who is there to be seen, and to say how they are
STEP_S = 0.1
RENEW_S = 1.0


def settle(control: Control) -> None:
    """Wait until all who are there said how they are, or have had the time to."""
    began_s = time.monotonic()
    while (waited_s := time.monotonic() - began_s) < FIRST_S:
        seen = control.sightings().values()
        if seen and waited_s > FIRST_S / 2 and all(_complete(each) for each in seen):
            return
        time.sleep(STEP_S)


def facts(sightings: Mapping[str, Sighting]) -> list[dict[str, Any]]:
    """What `--json` gives, a row for each device, in the order of their names."""
    return [_facts(sightings[name]) for name in sorted(sightings)]


def show(sightings: Mapping[str, Sighting]) -> None:
    """Print the table once."""
    out = Console(highlight=False)
    out.print(_table(sightings) if sightings else "nobody is there; `shoal fleet invite NAME` makes a token")


def follow(control: Control) -> None:
    """Print the table and renew it until Ctrl-C."""
    with Live(_table(control.sightings()), auto_refresh=False) as live:
        while True:
            time.sleep(RENEW_S)
            live.update(_table(control.sightings()), refresh=True)


def _complete(sighting: Sighting) -> bool:
    return not sighting.present or (sighting.announcement is not None and sighting.vitals is not None)


def _facts(sighting: Sighting) -> dict[str, Any]:
    announced, told = sighting.announcement, sighting.vitals
    return {
        "name": sighting.name,
        "present": sighting.present,
        "refused": sighting.refused,
        "notes": dict(sighting.notes),
        "present_s": _age_s(sighting),
        "board": announced.device.board if announced else None,
        "host": announced.host if announced else None,
        "version": announced.version if announced else None,
        "units": [f"{sighting.name}/{unit.name}" for unit in announced.device.units] if announced else [],
        "memory_limit_bytes": announced.device.memory_limit_bytes if announced else None,
        "link": announced.link if announced else None,
        "vitals": told,
    }


def _age_s(sighting: Sighting) -> float | None:
    """How long it is there, both times by its own clock."""
    announced, told = sighting.announcement, sighting.vitals
    if not sighting.present or announced is None or told is None or not announced.joined_s:
        return None
    return max(0.0, told.time_s - announced.joined_s)


def _table(sightings: Mapping[str, Sighting]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("device", "board", "there"):
        table.add_column(column, no_wrap=column != "board")
    for column in ("load", "memory", "temperature", "workers"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", overflow="fold", style="yellow")
    for name in sorted(sightings):
        table.add_row(*_row(sightings[name]))
    return table


def _row(sighting: Sighting) -> tuple[str, ...]:
    announced, told = sighting.announcement, sighting.vitals
    age_s = _age_s(sighting)
    there = ("yes" if age_s is None else _ago(age_s)) if sighting.present else "[red]gone[/red]"
    words = "; ".join(filter(None, (sighting.refused, *sighting.notes.values())))
    load = memory = temperature = workers = ""
    if told is not None and sighting.present:
        load, memory = f"{told.cpu_share:.0%}", format_bytes(told.memory_bytes)
        temperature = "" if told.temperature_c is None else f"{told.temperature_c:.0f} °C"
        workers = _workers(sighting)
    board = announced.device.board if announced else ""
    return escape(sighting.name), escape(board), there, load, memory, temperature, workers, escape(words)


def _workers(sighting: Sighting) -> str:
    told = sighting.vitals
    if told is None or not told.workers:
        return "0"
    return f"{len(told.workers)} ({format_bytes(sum(each.resident_bytes for each in told.workers))})"


def _ago(seconds: float) -> str:
    """A stretch of time for a table."""
    for size, word in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds:.0f} s"
