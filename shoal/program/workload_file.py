"""A workload as a person writes it: a file, or a rate on the command line; quantities with their units."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from shoal import units
from shoal.catalog import nearest
from shoal.errors import InputError, UnitError
from shoal.program.workload import Item, Workload

KEYS = ("items", "window", "rate", "poisson", "seed", "times", "pattern")
Kind = TypeVar("Kind")
ITEM_KEYS = ("entry", "session", "bindings", "deadline", "label")


def rate_of(text: object) -> float:
    """Items a second from "20/s", "20 items/s" or "3/min".

    Raises:
        UnitError: not a rate, or one of zero or below.
    """
    counted = text.replace("/", " item/", 1) if isinstance(text, str) and "item" not in text else text
    try:
        return units.parse(counted, "item/second")
    except UnitError as fault:  # in the words that were written
        raise UnitError(
            fault.what, where=fault.where, needed=fault.needed, had=repr(text), hint=fault.hint
        ) from fault


def load_workload(path: Path, items: int | None = None, window: int | None = None) -> Workload:
    """The workload in the TOML (or .json) file `path`; `items` goes before the file's, `window` stands in for it.

    Keys: items, window, rate = "20/s" with poisson and seed, or times = ["0 s", "10 ms", …], or neither (closed);
    and [[pattern]] tables with entry, session, bindings, deadline, label, taken in turn.

    Raises:
        InputError: the file cannot be read, or something in it is wrong.
        UnitError: a figure without its unit, or out of range.
    """
    table = _table(path)
    try:
        return _workload(table, items, window)
    except (InputError, UnitError) as fault:
        where = f"{path}: {fault.where}" if fault.where else str(path)
        raise type(fault)(fault.what, where=where, needed=fault.needed, had=fault.had, hint=fault.hint) from fault


def _table(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        table = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as fault:
        raise InputError(f"cannot read: {fault.strerror}", where=str(path)) from fault
    except (ValueError, RecursionError) as fault:  # of both parsers, and of text that is no UTF-8
        raise InputError(f"not a workload: {fault}", where=str(path), needed="TOML or JSON") from fault
    if not isinstance(table, dict):
        raise InputError("not a workload", where=str(path), needed="a table")
    return table


def _workload(table: Mapping[str, Any], items: int | None, window: int | None) -> Workload:
    _check_keys(table, KEYS, "")
    if "rate" in table and "times" in table:
        raise InputError("both a rate and times", where="times", needed="one of them")
    if not {"rate", "times"} & set(table) and "poisson" in table:
        raise InputError("arrivals at random need a rate", where="poisson", hint='rate = "20/s"')
    times_s = tuple(units.parse(each, "second", zero=True) for each in _of(table, "times", list, []))
    return Workload(
        items=items or _of(table, "items", int, len(times_s) or 32),
        arrival="rate" if "rate" in table else "trace" if times_s else "closed",
        window=_of(table, "window", int, window or 4),
        rate_items_per_s=rate_of(table["rate"]) if "rate" in table else 0.0,
        poisson=_of(table, "poisson", bool, False),
        seed=_of(table, "seed", int, 0),
        times_s=times_s,
        pattern=tuple(_item(each, f"pattern.{place}") for place, each in enumerate(_of(table, "pattern", list, [])))
        or (Item(),),
    )


def _item(table: object, at: str) -> Item:
    if not isinstance(table, dict):
        raise InputError("not an item", where=at, needed="a table")
    _check_keys(table, ITEM_KEYS, f"{at}.")
    bindings = _of(table, "bindings", dict, {}, at)
    return Item(
        entry=_of(table, "entry", str, "main", at),
        session=_of(table, "session", int, -1, at),
        bindings={name: _of(bindings, name, int, 0, f"{at}.bindings") for name in bindings},
        deadline_s=units.parse(table["deadline"], "second") if "deadline" in table else None,
        label=_of(table, "label", str, "", at),
    )


def _check_keys(table: Mapping[str, Any], known: tuple[str, ...], at: str) -> None:
    for key in table:
        if key not in known:
            raise InputError("unknown key", where=f"{at}{key}", hint=nearest(key, known))


def _of(table: Mapping[str, Any], key: str, kind: type[Kind], default: Kind, at: str = "") -> Kind:
    """The value under `key`, which must be a `kind`; a truth value is no number."""
    value = table.get(key, default)
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        where = f"{at}.{key}" if at else key
        raise InputError("of the wrong type", where=where, needed=kind.__name__, had=repr(value))
    return value
