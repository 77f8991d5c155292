"""Memory that a prefill takes, from the configuration alone: weights, what is kept of the sequence, activations.

Activations are what is alive at the worst place of a layer, counted from the order in which transformers' modules make
and drop tensors, with attention that does not write its scores (sdpa). Layers follow one another, so one counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shoal.errors import ModelError
from shoal.llm import Architecture, Attention, Dense, Scan
from shoal.llm.profile.subject import Subject
from shoal.llm.profile.timing import Point

SEGMENT = 2048  # tokens that `shoal.llm.ssm` has in work at once
STOCK_CHUNK = 256  # of the scan of transformers, where the configuration does not say
MASK_VALUES = 1.25  # of a pass that looks back: a byte and a float32 for each pair of tokens


@dataclass(frozen=True)
class Memory:
    """In bytes."""

    weights_bytes: float
    cache_bytes: float
    activations_bytes: float

    @property
    def bytes(self) -> float:
        """Together."""
        return self.weights_bytes + self.cache_bytes + self.activations_bytes


@dataclass(frozen=True)
class Alive:
    """Values that are alive at the worst place of a part: of each token in work, and besides."""

    token: float
    besides: float = 0.0


def memory(subject: Subject, point: Point, value_bytes: float = 4, all_logits: bool = False) -> Memory:
    """What a prefill at a point takes.

    Args:
        subject: the model.
        point: how long, and how many.
        value_bytes: of a weight, an activation and a value that is kept: 4 for float32.
        all_logits: of all places of the prompt rather than the last.

    Raises:
        ModelError: layers of a kind without such a formula.
    """
    found = subject.architecture
    work = min(subject.passes or point.context, point.context)
    parts = [
        _alive(part, subject, found, work)
        for layer in found.layers
        for part in (layer.mixer, layer.product)
        if part
    ]
    most = max(each.token * work + each.besides for each in parts)
    logits = found.vocabulary * (work if all_logits else 1)
    values = point.batch * (_ends(found) * work + most + logits) + _mask(subject, point, work)
    kept = point.batch * found.cache_bytes(point.context, value_bytes)
    return Memory(value_bytes * found.parameters, kept, value_bytes * values)


def longest(
    subject: Subject, limit_bytes: float, value_bytes: float = 4, all_logits: bool = False, batch: int = 1
) -> int:
    """The most tokens of a prompt that fit; 0: none."""

    def fits(tokens: int) -> bool:
        return memory(subject, Point(tokens, batch), value_bytes, all_logits).bytes <= limit_bytes

    low, high = 0, 1
    while fits(high) and high < 1 << 40:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _ends(found: Architecture) -> float:
    """Of each token: its embedding, a layer's input, that input normed; its symbol and place, in eight bytes each."""
    rotary = max((2 * layer.mixer.head for layer in found.layers if isinstance(layer.mixer, Attention)), default=0)
    return 3 * found.width + rotary + 4


def _mask(subject: Subject, point: Point, work: int) -> float:
    return MASK_VALUES * work * point.context if work < point.context and subject.attends else 0.0


def _alive(part: Any, subject: Subject, found: Architecture, work: int) -> Alive:
    formula = FORMULAS.get(type(part))
    if formula is None:
        raise ModelError(f"no memory of layers of the kind '{type(part).__name__}' is known", where=subject.name)
    return formula(part, subject, found, work)


def _dense(part: Dense, _: Subject, found: Architecture, __: int) -> Alive:
    """The stream after attention, and three vectors of the hidden width."""
    return Alive(found.width + 3 * part.hidden)


def _attention(part: Attention, *_: Any) -> Alive:
    """Queries before, while and after they are turned; keys and values beside those kept."""
    return Alive((4 * part.heads + 2 * part.kv_heads) * part.head)


def _scan(part: Scan, subject: Subject, found: Architecture, work: int) -> Alive:
    return _in_chunks(part, subject.scan, work) if subject.scan else _stock(part, _chunk_of(subject), work)


def _stock(part: Scan, chunk: int, work: int) -> Alive:
    """Decay, scores, their product and its copy, a chunk wide for each head; B and C for each head; x twice, y twice."""
    inner, convolved, projected = _sizes(part)
    rows = 4 * part.heads * chunk + 2 * part.heads * part.state + 4 * inner
    padded = -(-work // chunk) * chunk / work
    return Alive(projected + convolved + rows * padded)


def _in_chunks(part: Scan, chunk: int, work: int) -> Alive:
    """The convolution with its input and output; or the outputs, and what a segment has in work."""
    inner, convolved, projected = _sizes(part)
    segment = min(SEGMENT, work) * (3 * inner + 3 * part.heads * chunk + 2 * inner * part.state / chunk)
    return Alive(projected + max(3 * convolved, convolved + inner + segment / work))


def _sizes(part: Scan) -> tuple[int, int, int]:
    inner = part.heads * part.head
    convolved = inner + 2 * part.groups * part.state
    return inner, convolved, inner + convolved + part.heads


def _chunk_of(subject: Subject) -> int:
    return int(subject.config.get("chunk_size") or subject.config.get("mamba_chunk_size") or STOCK_CHUNK)


FORMULAS: dict[type, Callable[..., Alive]] = {Dense: _dense, Attention: _attention, Scan: _scan}
