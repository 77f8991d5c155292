"""A format's name ↔ the format: "int4g128", "planes:bits=2,group=64", "int4g64+outliers:share=0.01+rotate"."""

from __future__ import annotations

import re
from functools import reduce
from importlib import import_module

from shoal import catalog
from shoal.errors import InputError
from shoal.formats.contract import Format

FAMILY, COMPOSERS = "formats", "formats/composers"
EXAMPLES = (
    "int8", "int4g128", "int4asg64", "int2g64", "e4m3", "e2m1g32", "fp4", "mxfp8", "mxint8", "mxfp6", "mxint6", "mxfp4",
    "mxint4", "nvfp4", "nvint4", "hlq3g128", "hlq2g128", "tern2", "tern3x5", "tern5x8", "bin", "pow2",
)  # fmt: skip


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


def listed(text: str) -> tuple[str, ...]:
    """Names between strokes, "int4g32/codebook:values=-1/0/1/float32": what follows a stroke inside a name is a number."""
    return tuple(re.split(r"/(?=[a-z])", text))


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
    raise InputError(f"no number format is called '{text}'", hint=f"{hint} (see docs/compressing.md)")
