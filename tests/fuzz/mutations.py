"""Valid values made wrong on purpose, and what must hold of whoever reads them.

A reader may take a mutated value, for some mutations do no harm; if it refuses, then by a ShoalError whose message
names the place, without allocating what a lying size asks for, and soon. Nothing else may escape.

`SHOAL_FUZZ_EXAMPLES` sets the number of examples of every test, which are then other ones each time; without it
they are few and the same every time. `python -m bench.fuzz` sets it.
"""

from __future__ import annotations

import copy
import json
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from types import FrameType
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from shoal.errors import ShoalError

EXAMPLES = int(os.environ.get("SHOAL_FUZZ_EXAMPLES", "0"))
MOST_BYTES = 1 << 30  # of address space that one example may add
MOST_S = 20.0  # of processor time that one example may take

LEAVES, ALIKE, ELSEWHERE, DAMAGED = 0.75, 0.65, 0.2, 0.05  # shares: of edits, of what is put in, of files

Value = TypeVar("Value")
Test = TypeVar("Test", bound=Callable[..., None])
Path = tuple[Any, ...]


class TooLong(BaseException):
    """An example that does not end; no `except Exception` may swallow it."""


@dataclass(frozen=True)
class Raw:
    """Text that stands in a file as it is."""

    text: str


@dataclass(frozen=True)
class Pairs:
    """An object whose keys may stand twice."""

    pairs: tuple[tuple[str, Any], ...]


DEEP = Raw("[" * 3000 + "]" * 3000)
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 7, 2**31, 2**63, -(2**63) - 1, 2**64),
    *(Raw("1" + "0" * 400), Raw("1e400"), Raw("-0"), Raw("1e-400"), Raw("nan"), Raw("NaN"), Raw("2020-01-01")),
    *(0.0, 0.5, -0.5, 1e308, 1e-320, float("nan"), float("inf"), float("-inf")),
    *("", " ", "0", "\0", "\ud800", "\x1b[31m", "[bold]", "\u202e", "x" * 5000, "../../x", "/", "a/b/c", "client"),
    *("1e999 GiB", "0 s", "-1 W", "9" * 300 + " B", "NaN W", "1 fortnight", "tokens", "2*n", "10**9", "1//0"),
    *([], {}, [[]], [None], {"": None}, {"a": {"a": {}}}, DEEP),
)
EDITS = (
    *("replace",) * 8,
    *("drop", "drop", "repeat", "repeat", "move", "scale", "scale", "scale", "shuffle", "cut", "add"),
    *("rename", "wrap", "text"),
)


def fuzzed(examples: int) -> Callable[[Test], Test]:
    """Settings of a fuzz test of so many examples by default; tests of costly examples state fewer."""
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def survives(call: Callable[[], Value], names: str = "") -> Value | None:
    """What `call` gives, or None if it refuses as it should: by a ShoalError whose message has `names` in it."""
    try:
        with limits():
            return call()
    except ShoalError as fault:
        refusal = fault
    assert refusal.what.strip(), repr(refusal)
    assert names in refusal.message, refusal.message
    refusal.message.encode(errors="backslashreplace")
    return None


@contextmanager
def limits(most_bytes: int = MOST_BYTES, most_s: float = MOST_S) -> Iterator[None]:
    """Whoever allocates more gets a MemoryError, whoever computes longer TooLong."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm", encoding="ascii") as file:
        now_bytes = int(file.read().split()[0]) * resource.getpagesize()
    old = signal.signal(signal.SIGVTALRM, _too_long)
    resource.setrlimit(resource.RLIMIT_AS, (now_bytes + most_bytes, before[1]))
    signal.setitimer(signal.ITIMER_VIRTUAL, most_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        resource.setrlimit(resource.RLIMIT_AS, before)
        signal.signal(signal.SIGVTALRM, old)


def _too_long(_number: int, _frame: FrameType | None) -> None:
    raise TooLong(f"more than {MOST_S} s of processor time")


def mutated(value: Any, most: int = 2) -> st.SearchStrategy[Any]:
    """`value`, made of lists, dicts, text and numbers, with one to `most` edits."""
    return _seeds().map(lambda seed: _mutate(value, most, Random(seed)))


def mutated_json(value: Any, most: int = 2) -> st.SearchStrategy[bytes]:
    """`value` as JSON after some edits, sometimes with bytes damaged too."""
    return _seeds().map(lambda seed: _written(json_text, value, most, Random(seed)))


def mutated_toml(value: Any, most: int = 2) -> st.SearchStrategy[bytes]:
    """The same as TOML."""
    return _seeds().map(lambda seed: _written(toml_text, value, most, Random(seed)))


def damaged(data: bytes, most: int = 4) -> st.SearchStrategy[bytes]:
    """`data` with bits flipped, pieces cut out, doubled or overwritten, or its end lost."""
    return _seeds().map(lambda seed: damage(data, Random(seed), most))


def _seeds() -> st.SearchStrategy[int]:
    """Drawing every choice by itself would favour the first ones: seeds reach all fields alike."""
    return st.integers(0, 2**64 - 1)


def _written(write: Callable[[Any], str], value: Any, most: int, random: Random) -> bytes:
    data = write(_mutate(value, most, random)).encode(errors="surrogatepass")
    return damage(data, random) if random.random() < DAMAGED else data


def _mutate(value: Any, most: int, random: Random) -> Any:
    found = copy.deepcopy(value)
    for _ in range(random.randint(1, most)):
        leaves, others = _fields(found)
        path = random.choice(random.choice(leaves if leaves and random.random() < LEAVES else others or leaves))
        odd = _odd(found, path, leaves + others, random)
        found = _edited(found, path, random.choice(EDITS), copy.deepcopy(odd))
    return found


def _odd(whole: Any, path: Path, fields: list[list[Path]], random: Random) -> Any:
    """What may stand at `path` instead: mostly of the same kind, so that more than types is looked at."""
    old, which = _at(whole, path), random.random()
    same = [each for each in ODD if type(each) is type(old)]
    if which < ALIKE and same:
        return random.choice(same)
    if which < ALIKE + ELSEWHERE:
        return _at(whole, random.choice(random.choice(fields)))
    return random.choice(ODD)


def damage(data: bytes, random: Random, most: int = 4) -> bytes:
    """`data` after up to `most` accidents."""
    found = bytearray(data)
    for _ in range(random.randint(1, most)):
        at, size = random.randrange(len(found) + 1), random.choice((1, 2, 4, 8, 64))
        match random.choice(("flip", "flip", "set", "cut", "double", "end", "insert", "number")):
            case "flip" if at < len(found):
                found[at] ^= 1 << random.randrange(8)
            case "set":
                found[at : at + size] = bytes([random.choice((0, 1, 0x7F, 0x80, 0xFF))]) * size
            case "cut":
                del found[at : at + size]
            case "double":
                found[at:at] = found[at : at + size]
            case "end":
                del found[at:]
            case "insert":
                found[at:at] = random.randbytes(size)
            case "number":
                number = random.choice((0, 1, -1, 2**31 - 1, -(2**31), 2**62, -(2**63), 2**63 - 1))
                found[at : at + 8] = number.to_bytes(8, "little", signed=True)
    return bytes(found)


def json_text(value: Any) -> str:
    """JSON as Python writes it, with what cannot be told otherwise as it is."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, Pairs):
        return f"{{{', '.join(f'{json.dumps(key)}: {json_text(each)}' for key, each in value.pairs)}}}"
    if isinstance(value, dict):
        return json_text(Pairs(tuple((str(key), each) for key, each in value.items())))
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(json_text, value))}]"
    return json.dumps(value)


def toml_text(value: Any) -> str:
    """A TOML document of `value`, everything below its first keys inline; what is no table gives a wrong document."""
    pairs = value.pairs if isinstance(value, Pairs) else value.items() if isinstance(value, dict) else None
    if pairs is None:
        return _toml(value)
    return "".join(f"{json.dumps(str(key))} = {_toml(each)}\n" for key, each in pairs)


def _toml(value: Any) -> str:
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, dict):
        value = Pairs(tuple(value.items()))
    if isinstance(value, Pairs):
        return f"{{{', '.join(f'{json.dumps(str(key))} = {_toml(each)}' for key, each in value.pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float):
        return repr(value)
    return "nothing" if value is None else json.dumps(value, ensure_ascii="\ud800" in str(value))


def _fields(value: Any) -> tuple[list[list[Path]], list[list[Path]]]:
    """The paths of all values below `value`, leaves and others; those that differ in places of lists only together.

    So a long list is no more likely to be hit than a single figure.
    """
    found: tuple[dict[Path, list[Path]], dict[Path, list[Path]]] = ({}, {})
    for path in _paths(value, ()):
        key = tuple("*" if isinstance(part, int) else part for part in path)
        kind = found[isinstance(_at(value, path), dict | list | Pairs)]
        kind.setdefault(key, []).append(path)
    return list(found[0].values()), list(found[1].values())


def _paths(value: Any, path: Path) -> Iterator[Path]:
    yield path
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _paths(each, (*path, key))
    elif isinstance(value, list):
        for place, each in enumerate(value):
            yield from _paths(each, (*path, place))


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def _edited(whole: Any, path: Path, edit: str, odd: Any) -> Any:
    if not path:
        return _other(whole, edit, odd)
    inside, key = _at(whole, path[:-1]), path[-1]
    match edit:
        case "drop":
            del inside[key]
        case "rename" if isinstance(inside, dict):
            inside[f"{key}x"] = inside.pop(key)
        case "repeat" if isinstance(inside, list):
            inside.insert(key, copy.deepcopy(inside[key]))
        case "repeat":
            pairs = ((str(name), each) for name, each in inside.items())
            return _edited(whole, path[:-1], "replace", Pairs((*pairs, (str(key), odd))))
        case "move" if isinstance(inside, list):
            inside.append(inside.pop(key))
        case _:
            inside[key] = _other(inside[key], edit, odd)
    return whole


def _other(value: Any, edit: str, odd: Any) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match edit:
        case "wrap":
            found: Any = [value]
        case "text":
            found = f"{value} " if isinstance(value, str) else str(value)
        case "scale" if number:
            found = value * -(10**9)
        case "add" if isinstance(value, list):
            found = [*value, odd]
        case "add" if isinstance(value, dict):
            found = {**value, "unknown": odd}
        case "add" if number:
            found = value + 1
        case "shuffle" if isinstance(value, list):
            found = value[::-1]
        case "cut" if isinstance(value, list | str):
            found = value[: len(value) // 2]
        case _:
            found = odd
    return found
