"""The scan of Mamba-2, in chunks and step by step; imports torch.

A head keeps a state S (state × channels). Token t fades it and writes to it, then reads:

    S ← exp(Δ_t·A)·S + B_t·(Δ_t·x_t)ᵀ        y_t = Sᵀ·C_t + D·x_t

Within a chunk this is a masked product, (L ∘ C·Bᵀ)·(Δ·x) with L_ij = exp(Σ_{j<k≤i} Δ_k·A); from chunk to chunk only
states are handed on. [Dao and Gu, "Transformers are SSMs", 2024, section 6]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from shoal.errors import InputError

SEGMENT = 2048  # tokens whose products are in memory at once


@dataclass(frozen=True)
class Scanned:
    """What a scan gives."""

    outputs: Tensor  # (batch, tokens, heads, channels)
    state: Tensor  # after the last token: (batch, heads, channels, state), as transformers keeps it


@dataclass(frozen=True)
class Inputs:
    """What a scan reads. Heads share `writing` and `reading` in groups."""

    x: Tensor  # (batch, tokens, heads, channels)
    steps: Tensor  # Δ, at least 0: (batch, tokens, heads)
    decay: Tensor  # A, below 0: (heads,)
    writing: Tensor  # B: (batch, tokens, groups, state)
    reading: Tensor  # C: (batch, tokens, groups, state)
    skip: Tensor | None = None  # D: (heads,)
    state: Tensor | None = None  # before the first token: (batch, heads, channels, state); None: zeros

    def within(self, begin: int, end: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x, Δ, B and C of some tokens."""
        span = slice(begin, end)
        return self.x[:, span], self.steps[:, span], self.writing[:, span], self.reading[:, span]

    @property
    def empty(self) -> Tensor:
        """The state before the first token."""
        batch, _, heads, channels = self.x.shape
        return (
            self.x.new_zeros(batch, heads, channels, self.writing.shape[-1]) if self.state is None else self.state
        )


def stepwise(inputs: Inputs) -> Scanned:
    """Token by token, as defined: what the chunked scan is held against."""
    heads, groups = inputs.x.shape[2], inputs.writing.shape[2]
    state, outputs = inputs.empty, []
    for at in range(inputs.x.shape[1]):
        x, steps, writing, reading = (each[:, 0] for each in inputs.within(at, at + 1))
        writing, reading = (each.repeat_interleave(heads // groups, 1)[:, :, None] for each in (writing, reading))
        faded = state * torch.exp(steps * inputs.decay)[..., None, None]
        state = faded + (steps[..., None] * x)[..., None] * writing
        outputs.append((state * reading).sum(-1))
    return Scanned(_skipped(torch.stack(outputs, 1), inputs), state)


def in_chunks(inputs: Inputs, chunk: int) -> Scanned:
    """The same in products of matrices, `chunk` tokens each; memory does not grow with the tokens beyond the outputs.

    Raises:
        InputError: a chunk without tokens.
    """
    if chunk < 1:
        raise InputError("a chunk has tokens", needed="at least 1", had=str(chunk))
    state = _columns(inputs.empty, inputs.writing.shape[2])
    outputs = torch.empty_like(inputs.x)
    for begin, end, size in _segments(inputs.x.shape[1], chunk):
        outputs[:, begin:end], state = _segment(*inputs.within(begin, end), inputs.decay, state, size)
    return Scanned(_skipped(outputs, inputs), _rows(state, inputs.x.shape[2]))


def _segments(tokens: int, chunk: int) -> Iterator[tuple[int, int, int]]:
    """Begin, end and chunk of stretches that hold whole chunks; what is left over is a chunk of its own."""
    whole = tokens - tokens % chunk
    span = max(SEGMENT // chunk, 1) * chunk
    for begin in range(0, whole, span):
        yield begin, min(begin + span, whole), chunk
    if whole < tokens:
        yield whole, tokens, tokens - whole


def _segment(
    x: Tensor, steps: Tensor, writing: Tensor, reading: Tensor, decay: Tensor, state: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    """Outputs of whole chunks, and the state after them.

    Shapes: b batch, c chunks, q tokens of one, g groups, h heads, k heads of a group, p channels, n state;
    `state` is (b, g, n, k·p): one product serves all heads of a group.
    """
    batch, tokens, heads, channels = x.shape
    groups, chunks = writing.shape[2], tokens // chunk
    shape = (batch, chunks, chunk, groups)
    writing, reading = (each.reshape(*shape, -1).transpose(2, 3) for each in (writing, reading))  # (b,c,g,q,n)
    faded = (steps * decay).reshape(batch, chunks, chunk, heads).cumsum(2)  # logs of what is left: (b,c,q,h)
    taken = (x * steps[..., None]).reshape(batch, chunks, chunk, heads, channels)
    left = (faded[:, :, -1:] - faded).exp()[..., None]  # of each token at the chunk's end
    written = writing.transpose(-1, -2) @ _grouped(taken * left, groups)  # (b,c,g,n,k·p)
    kept = faded[:, :, -1].exp().view(batch, chunks, groups, -1).repeat_interleave(channels, 3)
    before, state = _handed_on(state, written, kept)
    carried = _ungrouped(reading @ before, heads) * faded.exp()[..., None]
    scores = (reading @ writing.transpose(-1, -2)).repeat_interleave(heads // groups, 2)  # (b,c,h,q,q)
    inside = (scores * _masked(faded)) @ taken.transpose(2, 3)  # (b,c,h,q,p)
    return (inside.transpose(2, 3) + carried).reshape(batch, tokens, heads, channels), state


def _handed_on(state: Tensor, written: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """The state before each chunk (b,c,g,n,k·p), and after the last."""
    before = torch.empty_like(written)
    for at in range(written.shape[1]):
        before[:, at] = state
        state = torch.addcmul(written[:, at], state, kept[:, at, :, None])
    return before, state


def _masked(faded: Tensor) -> Tensor:
    """What is left at token i of what token j wrote, 0 for those to come: (b,c,h,q,q)."""
    rows = faded.transpose(2, 3)
    future = torch.ones(rows.shape[-1], rows.shape[-1], dtype=torch.bool, device=faded.device).triu(1)
    return (rows[..., None] - rows[..., None, :]).masked_fill_(future, -torch.inf).exp_()


def _grouped(x: Tensor, groups: int) -> Tensor:
    """(b,c,q,h,p) → (b,c,g,q,k·p)."""
    return x.reshape(*x.shape[:3], groups, -1).transpose(2, 3)


def _ungrouped(x: Tensor, heads: int) -> Tensor:
    """(b,c,g,q,k·p) → (b,c,q,h,p)."""
    batch, chunks, _, chunk, _ = x.shape
    return x.transpose(2, 3).reshape(batch, chunks, chunk, heads, -1)


def _columns(state: Tensor, groups: int) -> Tensor:
    """(b,h,p,n) → (b,g,n,k·p)."""
    return state.reshape(state.shape[0], groups, -1, state.shape[-1]).transpose(2, 3)


def _rows(state: Tensor, heads: int) -> Tensor:
    """(b,g,n,k·p) → (b,h,p,n)."""
    return state.transpose(2, 3).reshape(state.shape[0], heads, -1, state.shape[2]).contiguous()


def _skipped(outputs: Tensor, inputs: Inputs) -> Tensor:
    return outputs if inputs.skip is None else outputs.addcmul_(inputs.x, inputs.skip[:, None])
