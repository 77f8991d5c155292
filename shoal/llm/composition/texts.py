"""Kinds of text that come with Python: each has a model of its own, and a router tells them apart."""

from __future__ import annotations

import ast
import calendar
import dis
import html.entities
import io
import sysconfig
import tokenize
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.train.language import corpus

U8 = NDArray[np.uint8]
PIECE = 1024  # bytes that are learned from or held out together
HELD_OUT = 8  # one piece of so many is not learned from


@dataclass(frozen=True, eq=False)
class Text:
    """Of one kind, in two parts."""

    learned: U8
    held: U8


def texts(most_bytes: int = 400_000) -> Mapping[str, Text]:
    """Every kind, at most so many bytes of each.

    Raises:
        InputError: that is too little to learn from.
    """
    found = {name: _parted(read, most_bytes) for name, read in KINDS.items()}
    for name, each in found.items():
        if min(len(each.learned), len(each.held)) < PIECE:
            raise InputError("too little text of a kind", where=name, needed=f"{PIECE} bytes in both parts",
                             had=f"{len(each.learned)} and {len(each.held)}")  # fmt: skip
    return found


def _parted(read: Callable[[], Iterator[bytes]], most_bytes: int) -> Text:
    """Pieces by their own checksum, so that what is held out does not hang on what stands beside it."""
    text = bytearray()
    for each in read():
        text += each
        if len(text) >= most_bytes:
            break
    pieces = dict.fromkeys(bytes(text[at : at + PIECE]) for at in range(0, min(len(text), most_bytes), PIECE))
    parts: tuple[list[bytes], list[bytes]] = ([], [])
    for piece in pieces:
        parts[zlib.crc32(piece) % HELD_OUT == 0].append(piece)
    learned, held = (np.frombuffer(b"".join(part), np.uint8) for part in parts)
    return Text(learned, held)


def _documents() -> Iterator[bytes]:
    for part in corpus():
        yield part.tobytes()


def _library(pattern: str) -> Iterator[tuple[str, bytes]]:
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob(pattern)):
        yield path.name, path.read_bytes()


def _sources() -> Iterator[bytes]:
    for _, source in _library("*.py"):
        yield source


def _listings() -> Iterator[bytes]:
    """What the compiler makes of sources."""
    for name, source in _library("*.py"):
        try:
            code = compile(source, name, "exec")
        except SyntaxError:
            continue
        with redirect_stdout(io.StringIO()) as found:
            dis.dis(code, depth=1)
        yield found.getvalue().encode()


def _trees() -> Iterator[bytes]:
    """What the parser makes of sources."""
    for _, source in _library("asyncio/*.py"):
        yield ast.dump(ast.parse(source), indent=1).encode()


def _tokens() -> Iterator[bytes]:
    """Sources word by word, with their places."""
    for _, source in _library("email/*.py"):
        for each in tokenize.tokenize(io.BytesIO(source).readline):
            (line, column), kind = each.start, tokenize.tok_name[each.exact_type]
            yield f"{line},{column}: {kind} {each.string!r}\n".encode()


def _calendars() -> Iterator[bytes]:
    for year in range(1, 10_000):
        yield calendar.TextCalendar().formatyear(year).encode()


def _signs() -> Iterator[bytes]:
    """Names of characters."""
    for code in range(0x20, 0x20000):
        if name := unicodedata.name(chr(code), ""):
            yield f"{name.lower()}\n".encode()


def _tables() -> Iterator[bytes]:
    """Characters as pages name them, with their numbers."""
    for at, (name, sign) in enumerate(sorted(html.entities.html5.items())):
        codes = ",".join(f"0x{ord(each):04x}" for each in sign)
        yield f'{{"name": "&{name}", "codes": [{codes}], "row": {at}}},\n'.encode()


KINDS: Mapping[str, Callable[[], Iterator[bytes]]] = {
    "documents": _documents, "sources": _sources, "listings": _listings, "trees": _trees, "tokens": _tokens,
    "calendars": _calendars, "signs": _signs, "tables": _tables,
}  # fmt: skip
