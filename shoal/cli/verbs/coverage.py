"""Check which techniques for on-device language models are here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from shoal import codec
from shoal.cli import options
from shoal.errors import WorkError

EXAMPLES = ("shoal coverage", "shoal coverage --leaf C1", "shoal coverage --html coverage.html --json")


def command(
    leaf: Annotated[
        list[str] | None, typer.Option("--leaf", metavar="ID", help="only this one; may be repeated")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="checks at once, each on one core")] = 2,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="also write the map as a page")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="the map as JSON on stdout")] = False,
) -> None:
    """Run a check for each technique that is known for language models on devices, and show which are here.

    The tree is that of a review. A leaf is covered if what it names imports, and its check, in a process of its own with
    limits of time and memory, gives the figures that are expected; where one does not, that is a failure.
    """
    from shoal.study import coverage

    options.writable(html)
    found = coverage.leaves()
    judged = coverage.every([found.leaf(each) for each in leaf] if leaf else found.leaves, jobs)
    if html:
        codec.write_bytes(coverage.page(found, judged).encode(), html)
    if json:
        options.emit(coverage.as_json(found, judged))
    else:
        sys.stdout.write(f"{coverage.tree(found, judged)}\n")
    faults = [f"{each.leaf.id}: {fault}" for each in judged for fault in each.faults]
    if faults:
        raise WorkError("the map promises what is not so", had="\n    ".join(["", *faults]))
