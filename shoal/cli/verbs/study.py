"""Published systems: what each claims against what is obtained here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from shoal import catalog
from shoal.cli import options
from shoal.errors import InputError
from shoal.study import Result, conduct, job, kept, print_list, print_study, summary, write_page

EXAMPLES = (
    "shoal study",
    "shoal study NAME --report",
    "shoal study NAME:option=value -o result.json --json",
)


def command(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="run this one, with options: name:items=8; without, list all")
    ] = "",
    show: Annotated[bool, typer.Option("--show", help="show the kept result of NAME; run nothing")] = False,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="file for the result; the cache folder otherwise"),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="put the result into the package, as the one that ships")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="also write the page: beside -o, or NAME.html or studies.html here")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="claims and verdicts as JSON on stdout")] = False,
) -> None:
    """Show published systems: what each claims against what is obtained here.

    Without a name, all studies with their kept results; nothing is run. A missed claim is shown as missed and
    is no failure of the command.
    """
    if (show or not name) and (output or keep):
        raise InputError("nothing is run that could be written", where="--output" if output else "--keep")
    if not name:
        _list(report=report, json=json)
        return
    _one(name, show=show, output=output, keep=keep, report=report, json=json)


def _list(*, report: bool, json: bool) -> None:
    entries = [(each, catalog.make("study", each), kept(each)) for each in catalog.names("study")]
    page = Path("studies.html") if report else None
    options.writable(page)
    if page:
        write_page(entries, page)
    if json:
        options.emit([summary(*entry) for entry in entries])
        return
    print_list(entries)
    if page:
        sys.stdout.write(f"page written to {page}\n")


def _one(text: str, *, show: bool, output: Path | None, keep: bool, report: bool, json: bool) -> None:
    if report and output and output.suffix == ".html":
        raise InputError("result and page would be one file", where=str(output), hint="-o FILE.json")
    wanted = job(text, output, keep=keep)
    page = (output.with_suffix(".html") if output else Path(f"{wanted.name}.html")) if report else None
    options.writable(page)
    result = _kept(wanted.name, wanted.changed) if show else conduct(wanted, _say)
    entry = (wanted.name, wanted.study, result)
    if page:
        write_page([entry], page)
    if json:
        options.emit(summary(*entry))
        return
    print_study(entry)
    if not show:
        sys.stdout.write(f"\nresult written to {wanted.path}\n")
    if page:
        sys.stdout.write(f"page written to {page}\n")


def _kept(name: str, changed: str) -> Result:
    found = kept(name, changed)
    if found is None:
        raise InputError("no result is kept", where=name, hint=f"shoal study {name}")
    return found


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
