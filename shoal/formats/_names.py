"""A format's name ↔ the format: "int4g128", "planes:bits=2,group=64", "int4g64+outliers:share=0.01+rotate"."""

from __future__ import annotations

from functools import reduce
from importlib import import_module

from shoal import catalog
from shoal.errors import InputError
from shoal.formats.contract import Format

FAMILY, COMPOSERS = "formats", "formats/composers"
EXAMPLES = ("int8", "int4g128", "e4m3", "mxfp4", "nvint4", "tern5x8", "hlq2g64", "bin", "pow2")


def names() -> tuple[str, ...]:
    """The families of formats."""
    return catalog.names(FAMILY)


def make(text: str) -> Format:
    """The format that `text` names; what follows a "+" is wrapped around what stands before it.

    Raises:
        InputError: there is no such format, option or value.
    """
    first, *around = text.split("+")
    wraps = [catalog.make(COMPOSERS, each) for each in around]
    found: Format = reduce(lambda form, wrap: wrap.around(form), wraps, _base(first))
    return found


def _base(text: str) -> Format:
    family = text.partition(":")[0]
    if family in names():
        made: Format = catalog.make(FAMILY, text)
        return made
    for name in names():
        short: Format | None = import_module(f"shoal.{FAMILY}.{name}").short(text)
        if short is not None:
            return short
    hint = catalog.nearest(text, [*EXAMPLES, *names()])
    raise InputError(f"no number format is called '{text}'", hint=f"{hint} (see docs/formats.md)")
