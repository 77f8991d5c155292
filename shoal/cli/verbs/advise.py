"""Build and time forms of a language model until one keeps limits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from shoal import units
from shoal.cli import options

EXAMPLES = (
    "shoal advise llama/ --memory '300 MB' --token '50 ms'",
    "shoal advise gemma-3-270m.gguf --memory '1 GB' --token '80 ms' --json",
)


def command(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="a folder as Hugging Face keeps them, or a GGUF file")
    ],
    memory: Annotated[str, typer.Option(help="of the device, for all that runs: '300 MB'")],
    token: Annotated[str, typer.Option(help="longest time of a token: '50 ms'")],
    context: Annotated[
        list[int] | None, typer.Option(help="places of a text; may be repeated (default: 1024 and 256)")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="all that was tried, as JSON on stdout")] = False,
) -> None:
    """Tell how to keep a language model so that it meets limits of memory and time: ways are built and timed here.

    Weights in float32, eight and four bits with each context are run in a process of their own; the fewest losses within
    the limits are told, or what is nearest to them. This machine stands for the device.
    """
    from shoal.study.coverage import Limits, advise

    limits = Limits(units.parse(memory, "byte"), units.parse(token, "s"))
    found = advise(str(model), limits, tuple(context or (1024, 256)))
    told = found.best or found.nearest
    if json:
        options.emit(
            {"fits": found.best is not None, "best": _row(told), "tried": [_row(each) for each in found.tried]}
        )
        return
    for each in found.tried:
        sys.stdout.write(f"{_line(each)}{'' if each.beyond(limits) <= 1 else '  beyond'}\n")
    sys.stdout.write(f"{'take' if found.best else 'nothing fits; the nearest is'} {_line(told)}\n")


def _row(each: Any) -> dict[str, Any]:
    return {"weights": each.way.weights, "context": each.way.context, "peak_bytes": each.built.peak_bytes,
            "token_s": each.built.token_s, "first_s": each.built.first_s}  # fmt: skip


def _line(each: Any) -> str:
    built, way = each.built, each.way
    return (f"weights {way.weights}, {way.context} places: {built.peak_bytes / 1e6:.0f} MB, "
            f"{built.token_s * 1e3:.2f} ms a token, measured")  # fmt: skip
