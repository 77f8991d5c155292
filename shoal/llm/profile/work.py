"""What a pass of a language model has to compute and to move, by class of operation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from shoal.errors import ModelError
from shoal.llm import Architecture, Attention, Dense, Scan
from shoal.llm.profile.subject import Subject
from shoal.llm.profile.timing import Point

CLASSES = ("gemm", "attention", "ssm_scan", "ssm_conv", "elementwise")
COMPUTE = ("gemm", "attention", "ssm_scan")  # whose time is one of arithmetic in a prefill
CALLS = {Attention: 9, Scan: 12, Dense: 5}  # kernels of a part, its norm and residual included: estimate
CHUNK = 256  # tokens of a scan's chunk where the model has transformers' own


@dataclass(frozen=True)
class Work:
    """Of one class."""

    flop: float = 0.0  # a multiply-accumulate counts two
    bytes: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.flop + other.flop, self.bytes + other.bytes)


def work(subject: Subject, point: Point, decode: bool, value_bytes: float) -> dict[str, Work]:
    """What a pass has to do, by class."""
    found = subject.architecture
    tokens, seen = (
        (point.batch, point.context) if decode else (point.batch * point.context, (point.context + 1) / 2)
    )
    summed = dict.fromkeys(CLASSES, Work())
    for layer in found.layers:
        for part in (layer.mixer, layer.product):
            for name, each in _of(part, subject, found.width, tokens, seen, decode):
                summed[name] += Work(2 * each.flop, value_bytes * each.bytes)
    head = point.batch * found.vocabulary * found.width
    summed["gemm"] += Work(2 * head, value_bytes * found.vocabulary * found.width)
    return summed


def calls(found: Architecture) -> int:
    """Kernels of a pass."""
    return sum(CALLS[type(part)] for layer in found.layers for part in (layer.mixer, layer.product) if part)


def _of(
    part: Any, subject: Subject, width: int, tokens: float, seen: float, decode: bool
) -> Iterator[tuple[str, Work]]:
    """Multiply-accumulates and values of a part."""
    if part is None:
        return
    if isinstance(part, Dense):
        matrices = part.macs(width)
        yield "elementwise", Work(0, tokens * (6 * width + 4 * part.hidden))
    elif isinstance(part, Attention):
        matrices = part.macs(width, 0)
        kept, queries = part.cached(1), part.heads * part.head
        seen = min(seen, part.window) if part.window else seen
        yield (
            "attention",
            Work(2 * queries * seen * tokens, tokens * 2 * queries + kept * (tokens * seen if decode else tokens)),
        )
        yield "elementwise", Work(0, tokens * (6 * width + 6 * queries))
    elif isinstance(part, Scan):
        matrices = part.macs(width, 0) - 3 * _inner(part) * part.state - _convolved(part) * part.kernel
        yield from _scan(part, subject.scan or CHUNK, width, tokens, decode)
    else:
        raise ModelError(f"no work of layers of the kind '{type(part).__name__}' is known", where=subject.name)
    yield "gemm", Work(matrices * tokens, matrices)


def _scan(part: Scan, chunk: int, width: int, tokens: float, decode: bool) -> Iterator[tuple[str, Work]]:
    """Scores of a group, their product with each head, states written and read; a step scales, writes and reads them."""
    inner, state = _inner(part), _inner(part) * part.state
    macs = 3 * state if decode else part.groups * chunk * part.state + chunk * inner + 2 * state
    moved = 2 * state if decode else 2 * state / chunk
    yield "ssm_scan", Work(tokens * macs, tokens * (2 * inner + moved))
    yield (
        "ssm_conv",
        Work(tokens * _convolved(part) * part.kernel, tokens * _convolved(part) * (4 if decode else 2)),
    )
    yield "elementwise", Work(0, tokens * (4 * width + 5 * inner))


def _inner(part: Scan) -> int:
    return part.heads * part.head


def _convolved(part: Scan) -> int:
    return _inner(part) + 2 * part.groups * part.state
