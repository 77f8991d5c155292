"""Make this machine a device of a fleet, until it is stopped."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from shoal.errors import InputError, UnitError
from shoal.identity import invitation
from shoal.units import parse

EXAMPLES = (
    "shoal join shoal1-…          (the first time)",
    "shoal join                   (later)",
    "shoal join - < token.txt     (so that the token is in no list of processes)",
    "shoal join --memory 500MB --host 192.0.2.7",
)
TOKEN_VARIABLE = "SHOAL_TOKEN"


def command(
    token: Annotated[
        str, typer.Argument(metavar="TOKEN", help="what `shoal fleet invite` printed; - reads it from stdin")
    ] = "",
    host: Annotated[
        str, typer.Option(metavar="HOST", help="where others reach this device; as the hub sees it if none")
    ] = "",
    memory: Annotated[str, typer.Option(metavar="SIZE", help="what its workers may use: 500MB, 2GiB")] = "",
    name: Annotated[str, typer.Option(metavar="NAME", help="which of this machine's identities, by its name")] = "",
    fleet: Annotated[str, typer.Option(metavar="NAME", help="which of this machine's identities, by fleet")] = "",
) -> None:
    """Make this machine a device of a fleet, until it is stopped.

    It announces what this machine can do, keeps bundles by their hash, and runs workers that the fleet's coordinator
    asks for. The token may also come in the variable SHOAL_TOKEN.
    """
    memory_bytes = _bytes(memory) if memory else ""
    identity = _identity(token, name, fleet)
    options = [*(["--host", host] if host else []), *(["--memory-bytes", memory_bytes] if memory_bytes else [])]
    sys.stdout.flush()
    os.environ.pop(TOKEN_VARIABLE, None)
    # A fresh process has none of the libraries of the command line in its memory.
    os.execv(sys.executable, [sys.executable, "-m", "shoal.agent", str(identity), *options])


def _bytes(text: str) -> str:
    try:
        return str(int(parse(text, "byte")))
    except UnitError as fault:
        raise UnitError(
            fault.what, where="--memory", needed=fault.needed, had=fault.had, hint=fault.hint
        ) from fault


def _identity(token: str, name: str, fleet: str) -> Path:
    from shoal.agent.membership import found

    given = sys.stdin.readline().strip() if token == "-" else token
    kept = os.environ.get(TOKEN_VARIABLE, "")
    if given or not kept:
        return _enrolled(given, name) if given else found(name, fleet)
    invited = invitation.read(kept)
    try:  # a service that is started again still has its token
        return found(invited.name, invited.fleet)
    except InputError:
        return _enrolled(kept, name)


def _enrolled(token: str, name: str) -> Path:
    from shoal.agent.membership import enrol

    invited = invitation.read(token).name
    if name and invited != name:
        raise InputError("the token is for another name", where="--name", needed=invited, had=name)
    identity = enrol(token)
    sys.stderr.write(f"joined as {invited}; its identity is in {identity}\n")
    return identity
