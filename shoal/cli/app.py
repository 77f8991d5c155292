"""`shoal VERB …`: finds the verb's file, runs it, and turns errors into one message and an exit code.

Exit codes: 0 done, 1 the work failed, 2 wrong input.
"""

from __future__ import annotations

import ast
import importlib
import sys
from typing import Any

import click

import shoal
from shoal import catalog
from shoal.errors import ShoalError

VERBS = "cli/verbs"


class Verbs(click.Group):
    """The verbs found in the folder; a verb's module is imported only to run it or to show its own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in alphabetical order."""
        return list(catalog.names(VERBS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb's command, imported; None if there is no such verb."""
        if cmd_name not in catalog.names(VERBS):
            return None
        import typer

        module = importlib.import_module(f"shoal.cli.verbs.{cmd_name}")
        app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        app.command(cmd_name)(module.command)
        return typer.main.get_command(app)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The verb asked for; an unknown one is answered with the nearest known."""
        if args and args[0] not in catalog.names(VERBS) and not args[0].startswith("-"):
            ctx.fail(f"no verb is called '{args[0]}'; {catalog.nearest(args[0], catalog.names(VERBS))}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """A line for each verb, read from its docstring without importing it."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, _first_line(verb)) for verb in catalog.names(VERBS)])


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    given = sys.argv[1:] if arguments is None else arguments
    sys.exit(run(given))


def run(arguments: list[str]) -> int:
    """Run one command; returns its exit code. Nothing a user can do wrong ends in a traceback."""
    group = Verbs(name="shoal", help="One trained network, many small and unlike machines.")
    group = click.version_option(shoal.__version__, prog_name="shoal")(group)
    try:
        code = group.main(arguments, prog_name="shoal", standalone_mode=False)
    except click.exceptions.Abort:
        return 130
    except click.ClickException as fault:
        _complain(arguments, "Usage", fault.format_message(), None)
        return 2
    except ShoalError as fault:
        _complain(arguments, fault.kind, fault.message, fault.hint)
        return fault.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 1
    return code if isinstance(code, int) else 0


def _complain(arguments: list[str], kind: str, message: str, hint: str | None) -> None:
    """The error on stderr, or as JSON on stdout if the command was asked for JSON."""
    if "--json" in arguments:
        from shoal.codec import encode

        error: dict[str, Any] = {"error": {"kind": kind, "message": message, "hint": hint}}
        sys.stdout.write(encode(error).decode() + "\n")
        return
    sys.stderr.write(f"error: {message}\n")
    if hint:
        sys.stderr.write(f"  try: {hint}\n")


def _first_line(verb: str) -> str:
    source = (catalog.ROOT / VERBS / f"{verb}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
