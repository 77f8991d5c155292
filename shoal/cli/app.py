"""`shoal VERB …`: finds the verb's file, runs it, and turns errors into one message and an exit code.

Exit codes: 0 done, 1 the work failed, 2 wrong input, 130 ended by Ctrl-C.
"""

from __future__ import annotations

import ast
import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import shoal
from shoal import catalog
from shoal.errors import InputError, Interrupted, ShoalError

VERBS = "cli/verbs"
INTERRUPTED = Interrupted.exit_code
HEAD = """\
Usage: shoal VERB …

One trained network, many small and unlike machines.

Verbs:"""
TAIL = """
Start with `shoal inspect MODEL`, `shoal plan MODEL FLEET` and `shoal run plan`.
`shoal VERB --help` tells more, with examples. `--json` gives a verb's result to
machines. Exit codes: 0 done, 1 the work failed, 2 wrong input, 130 ended by
Ctrl-C.
"""


def main() -> None:
    """Run the command line and exit."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be text
    code = run(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # it ends already: one more Ctrl-C makes no traceback of that
    if (
        code == INTERRUPTED
    ):  # threads that still prepare something are not waited for; workers end with this process
        with suppress(OSError):  # whoever read us may have left as well
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def verbs() -> tuple[str, ...]:
    """The verbs there are, as they are written: mac-table for the file mac_table.py."""
    return tuple(name.replace("_", "-") for name in catalog.names(VERBS))


def run(arguments: Sequence[str]) -> int:
    """Run one command; returns its exit code. Nothing a user can do wrong ends in a traceback."""
    try:
        return _dispatch(arguments)
    except ShoalError as fault:
        _complain(arguments, fault.kind, fault.message, fault.hint)
        return fault.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read us has left; there is nobody to tell
        return 1


def _dispatch(arguments: Sequence[str]) -> int:
    verb = arguments[0] if arguments else "--help"
    if verb in ("--help", "-h"):
        sys.stdout.write(_help())
        return 0
    if verb == "--version":
        sys.stdout.write(f"shoal {shoal.__version__}\n")
        return 0
    if verb not in verbs():
        raise InputError(f"no verb is called '{verb}'", hint=catalog.nearest(verb, verbs()))
    return _run_verb(verb, arguments)


def _run_verb(verb: str, arguments: Sequence[str]) -> int:
    """Hand the arguments to the verb's command; typer reads them by the command's type hints."""
    import typer

    # The root of usage errors, from the click that this typer works with, its own or the installed one.
    usage_error: Any = next(each for each in typer.BadParameter.__mro__ if each.__name__ == "ClickException")
    module = importlib.import_module(f"shoal.cli.verbs.{_file(verb)}")
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(verb, epilog=_examples(module.EXAMPLES), context_settings={"help_option_names": ["-h", "--help"]})(
        module.command
    )
    try:
        code = app(list(arguments[1:]), prog_name=f"shoal {verb}", standalone_mode=False)
    except typer.Abort:
        return INTERRUPTED
    except usage_error as fault:
        _complain(arguments, "UsageError", fault.format_message(), f"shoal {verb} --help")
        return 2
    return code if isinstance(code, int) else 0


def _complain(arguments: Sequence[str], kind: str, message: str, hint: str | None) -> None:
    """The error on stderr, or as JSON on stdout if the command was asked for JSON."""
    if "--json" in arguments:
        from shoal.codec import encode

        texts = {"kind": kind, "message": _written(message), "hint": _written(hint) if hint else None}
        sys.stdout.write(encode({"error": texts}).decode() + "\n")
        return
    sys.stderr.write(f"error: {message}\n")
    if hint:
        sys.stderr.write(f"  hint: {hint}\n")


def _written(text: str) -> str:
    """`text` with what is none, such as bytes of a file's name, as escapes."""
    return text.encode(errors="backslashreplace").decode()


def _examples(lines: Sequence[str]) -> str:
    r"""The end of a verb's help: its examples, a line each (\b tells typer to keep the lines)."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def _file(verb: str) -> str:
    return verb.replace("-", "_")


def _help() -> str:
    """What `shoal --help` says; a verb's line is the first of its docstring, read without importing it."""
    width = max(len(verb) for verb in verbs())
    lines = [f"  {verb:<{width}}  {_first_line(verb)}" for verb in verbs()]
    return "\n".join((HEAD, *lines, TAIL))


def _first_line(verb: str) -> str:
    source = (catalog.ROOT / VERBS / f"{_file(verb)}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
