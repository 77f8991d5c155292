"""Show which techniques for models with experts are here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from shoal import codec
from shoal.cli import options
from shoal.errors import WorkError

EXAMPLES = ("shoal taxonomy", "shoal taxonomy --check", "shoal taxonomy --html map.html", "shoal taxonomy --json")


def command(
    check: Annotated[
        bool, typer.Option("--check", help="run the tests named, try each technique; fail where one is broken")
    ] = False,
    junit: Annotated[
        Path | None,
        typer.Option("--junit", metavar="FILE", help="tests that ran, as pytest --junit-xml writes them"),
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="also write the map as a page")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="the map as JSON on stdout")] = False,
) -> None:
    """Show which techniques for models with experts are here.

    The tree is that of a survey. What is here but has no test that passed in the last run counts as untested; with
    --check that is a failure, as is a technique whose implementation is gone.
    """
    from shoal.study import taxonomy as maps

    options.writable(html)
    found = maps.registry()
    if junit:
        evidence = maps.read_junit(junit)
    elif check:
        evidence = maps.run_tests(each.test for each in found.entries if each.test)
    else:
        evidence = maps.kept_evidence()
    judged = maps.statuses(found, evidence, maps.smoked if check else None)
    if html:
        codec.write_bytes(maps.page(found, judged).encode(), html)
    if json:
        options.emit(maps.as_json(found, judged))
    else:
        sys.stdout.write(f"{maps.tree(found, judged)}\n")
    faults = [f"{each.entry.id}: {fault}" for each in judged for fault in each.faults]
    if check and faults:
        raise WorkError("the map promises what is not there", had="\n    ".join(["", *faults]))
