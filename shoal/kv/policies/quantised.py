"""Everything is kept, in eight or four bits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from shoal.errors import InputError
from shoal.kv.policies._counted import Counted
from shoal.kv.policies._growing import Growing
from shoal.kv.policies.contract import Head, Part
from shoal.kv.policies.full import check_crop
from shoal.train.library import torch_module

if TYPE_CHECKING:
    from torch import Tensor

SCALE_BYTES = 2  # float16


@dataclass(frozen=True)
class Quantised:
    """Whole numbers times a scale for each token's key, and one for its value, of each head.

    The scale is the largest figure over 127 or 7. A prompt sees what is kept of itself. The store's `loss` says what
    rounding did to keys and values so far.

    Raises:
        InputError: other bits.
    """

    bits: Literal[8, 4] = 8  # of a figure

    def __post_init__(self) -> None:
        if self.bits not in (4, 8):
            raise InputError("a cache in so many bits is not known", needed="8 or 4", had=str(self.bits))

    def store(self, layer: int) -> Rounded:
        """See `Policy`."""
        return Rounded(self.bits)

    def held_bytes(self, tokens: int, head: Head, layer: int = 0, kv_head: int = 0) -> int:
        """See `Policy`; with the scales."""
        return tokens * ((head.key + head.value) * self.bits // 8 + 2 * SCALE_BYTES)

    read_bytes = held_bytes


class Rounded(Counted):
    """A store of codes and scales."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.codes, self.scales = (Growing(), Growing()), (Growing(), Growing())  # of keys, of values
        self._off, self._all = 0.0, 0.0  # squares of errors and of figures

    @property
    def loss(self) -> float:
        """Root mean square of the error, as a share of that of the figures."""
        return math.sqrt(self._off / self._all) if self._all else 0.0

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """See `Store`."""
        self.length += keys.shape[2]
        found = [self._kept(new, *held) for new, *held in zip((keys, values), self.codes, self.scales, strict=True)]
        return found[0], found[1]

    def select(self, queries: Tensor) -> Sequence[Part] | None:
        """Everything."""
        self.read(*(each.used for each in (*self.codes, *self.scales)))
        return None

    def evict(self) -> int:
        """Nothing is dropped."""
        return self.length

    def crop(self, tokens: int) -> None:
        """See `Store`."""
        check_crop(tokens, self.length)
        self.length -= tokens
        for each in (*self.codes, *self.scales):
            each.keep(self.length)

    def _kept(self, new: Tensor, codes: Growing, scales: Growing) -> Tensor:
        """All figures so far, as the codes say, in the type of the new ones."""
        code, scale = coded(new, self.bits)
        self.wrote(code, scale)
        restored = decoded(codes.append(code), scales.append(scale), self.bits).to(new.dtype)
        self._off += float((restored[:, :, -new.shape[2] :] - new).square().sum())
        self._all += float(new.square().sum())
        return restored


def coded(figures: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Codes and scales of vectors along the last axis; two codes of four bits share a byte.

    Raises:
        InputError: an odd width in four bits.
    """
    torch, most = torch_module(), 2 ** (bits - 1) - 1
    if bits == 4 and figures.shape[-1] % 2:
        raise InputError("vectors of odd width in four bits", had=str(figures.shape[-1]))
    scale = (figures.abs().amax(dim=-1, keepdim=True).float() / most).clamp(min=1e-7).to(torch.float16)
    codes = (figures / scale.float()).round().clamp(-most, most).to(torch.int8)
    if bits == 4:
        codes = (codes[..., 0::2] & 15) | (codes[..., 1::2] << 4)
    return codes, scale


def decoded(codes: Tensor, scales: Tensor, bits: int) -> Tensor:
    """What codes and scales stand for, in float32."""
    if bits == 4:  # shifts of int8 keep the sign
        codes = torch_module().stack([codes << 4 >> 4, codes >> 4], dim=-1).flatten(-2)
    return codes.float() * scales.float()
