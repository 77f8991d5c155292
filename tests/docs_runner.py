"""Run the blocks of one page of documentation in order: `python docs_runner.py PAGE`, in an empty folder.

    ```python            executed, all blocks of a page in one namespace
    ```toml file=PATH    written to PATH below the current folder, whatever the language
    ```output            what the python block before it printed
    ```console           each `$ command` is run; the lines after it are what it printed, on both streams

In expected output `…` stands for any text within a line, and a line of `…` alone for any lines. In blocks marked
`varying` (```output varying) each figure stands for any figure of any unit, and lines may break elsewhere. Blocks
in other languages are for reading.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FIGURE = re.compile(r"(?<![\w/'.-])[-+−]?\d[\d.,]*(?:\s?(?:[nµmk]?[sJW]|[KMGT]i?B|B|%|/s))?(?![\w/])")
BUSY, TRIES = "this machine cannot keep up", 4  # says nothing about the page, so it is tried again
FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file it is meant for, its text and where that begins."""

    language: str
    file: str
    text: str
    line: int
    varying: bool = False


class Differs(AssertionError):
    """A block printed something else than the page says."""


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    for found in FENCE.finditer(page):
        language, _, rest = found["info"].partition(" ")
        line = page.count("\n", 0, found.start("body")) + 1
        varying = rest == "varying"
        yield Block(language, "" if varying else rest.removeprefix("file="), found["body"], line, varying)


def run(page: str, name: str) -> None:
    """Run every block; the first that fails raises."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed = ""
    for block in blocks(page):
        match block.language:
            case _ if block.file:
                Path(block.file).parent.mkdir(parents=True, exist_ok=True)
                Path(block.file).write_text(block.text)
            case "python":
                printed = _execute(block, namespace, name)
            case "output":
                compare(block.text, printed, f"{name}:{block.line}", varying=block.varying)
            case "console":
                _console(block, name)


def compare(expected: str, printed: str, where: str, *, varying: bool = False) -> None:
    """Raise `Differs` unless `printed` is what the page says."""
    if varying:
        expected, printed = _levelled(expected), _levelled(printed)
    pattern = "".join(_pattern(line) for line in expected.strip().splitlines())
    if not re.fullmatch(pattern, "".join(f"{line}\n" for line in printed.strip().splitlines())):
        raise Differs(f"{where}: expected\n{expected}\nprinted\n{printed}")


def _levelled(text: str) -> str:
    """`text` in one line, every figure the same."""
    return FIGURE.sub("#", " ".join(text.split()))


def _pattern(line: str) -> str:
    if line.strip() == "…":
        return r"(?:.*\n)*?"
    return ".*?".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ \t]*\n"


def _execute(block: Block, namespace: dict[str, object], name: str) -> str:
    """Run a python block; line numbers in tracebacks are the page's."""
    code = compile("\n" * (block.line - 1) + block.text, name, "exec")
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(code, namespace)
    return out.getvalue()


def _console(block: Block, name: str) -> None:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        for _ in range(TRIES):
            printed = _shoal(shlex.split(command)[1:]) if command.startswith("shoal ") else _shell(command)
            if BUSY not in printed:
                break
        compare(expected, printed, f"{name}:{block.line}: {command}", varying=block.varying)


def _shoal(arguments: list[str]) -> str:
    """The command line within this process: what it imports is imported once for the whole page."""
    from shoal.cli import app

    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        app.run(arguments)
    return out.getvalue()


def _shell(command: str) -> str:
    return subprocess.run(
        command, shell=True, check=False, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    ).stdout  # fmt: skip


if __name__ == "__main__":
    run(Path(sys.argv[1]).read_text(), Path(sys.argv[1]).name)
