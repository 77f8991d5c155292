"""Products of signs from packed words, without torch: what a trained binary network is run with.

A sign is a bit, +1 a set one. Channels stand in bytes, so that the patches of a convolution are bytes copied; what
fills up bytes and words is unset in weights and inputs alike, and is subtracted from the sums. A border is padded with
−1, unset bits, as in training: ±1 has no zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.kernels.lowbit import sign_product

Bits = NDArray[np.bool_]
Sums = NDArray[np.int32]
Words = NDArray[np.uint64]


def bits_of(signs: NDArray[Any]) -> Bits:
    """Whether each is +1.

    Raises:
        InputError: something is neither −1 nor 1.
    """
    if not (np.abs(signs) == 1).all():
        raise InputError("not binary", needed="-1 or 1")
    found: Bits = signs > 0
    return found


@dataclass(frozen=True, eq=False)
class PackedLinear:
    """y = x·Wᵀ of signs."""

    words: Words  # (rows, words)
    columns: int

    @classmethod
    def of(cls, signs: NDArray[Any]) -> PackedLinear:
        """Of W in −1 and 1, (rows, columns).

        Raises:
            InputError: it is no such matrix.
        """
        if signs.ndim != 2 or not signs.size:
            raise InputError("no matrix of weights", had=str(signs.shape))
        return cls(_words(_bytes(bits_of(signs))), signs.shape[1])

    def sums(self, bits: Bits, path: str = "") -> Sums:
        """(…, columns) to (…, rows), exactly.

        Raises:
            InputError: other columns.
        """
        if bits.shape[-1] != self.columns:
            raise InputError("inputs do not fit the weights", needed=f"(…, {self.columns})", had=str(bits.shape))
        rows = _words(_bytes(bits.reshape(-1, self.columns)))
        return _sums(self.words, rows, self.columns, path).reshape(*bits.shape[:-1], -1)

    @property
    def bytes(self) -> int:
        """Of its weights."""
        return self.words.nbytes


@dataclass(frozen=True, eq=False)
class PackedConv:
    """A convolution of signs; its border is −1."""

    words: Words  # (rows, words)
    channels: int  # of the input
    kernel: tuple[int, int]
    stride: int = 1
    pad: int = 0  # places at each side

    @classmethod
    def of(cls, signs: NDArray[Any], stride: int = 1, pad: int = 0) -> PackedConv:
        """Of W in −1 and 1, (rows, channels, height, width).

        Raises:
            InputError: it is no such kernel.
        """
        if signs.ndim != 4 or not signs.size or stride < 1 or pad < 0:
            raise InputError("no kernel of a convolution", needed="(rows, channels, height, width)",
                             had=str(signs.shape))  # fmt: skip
        rows = _channel_bytes(bits_of(signs)).reshape(len(signs), -1)
        return cls(_words(rows), signs.shape[1], (signs.shape[2], signs.shape[3]), stride, pad)

    @property
    def columns(self) -> int:
        """What each sum is over."""
        return self.channels * self.kernel[0] * self.kernel[1]

    @property
    def bytes(self) -> int:
        """Of its weights."""
        return self.words.nbytes

    def sums(self, bits: Bits, path: str = "") -> Sums:
        """(items, channels, height, width) to (items, rows, height', width'), exactly.

        Raises:
            InputError: other channels, or a picture smaller than the kernel.
        """
        if bits.ndim != 4 or bits.shape[1] != self.channels:
            raise InputError("inputs do not fit the weights", needed=f"(n, {self.channels}, height, width)",
                             had=str(bits.shape))  # fmt: skip
        patches = self._patches(_channel_bytes(bits))
        rows = _words(patches.reshape(-1, patches.shape[-1]))
        found = _sums(
            rows, self.words, self.columns, path
        )  # a product of signs either way round: channels come first
        return np.ascontiguousarray(found.reshape(-1, *patches.shape[:3]).swapaxes(0, 1))

    def _patches(self, packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(items, height', width', bytes of a patch) from (items, height, width, bytes of the channels)."""
        border = (self.pad, self.pad)
        padded = np.pad(packed, ((0, 0), border, border, (0, 0)))
        if padded.shape[1] < self.kernel[0] or padded.shape[2] < self.kernel[1]:
            raise InputError("a picture smaller than the kernel", had=f"{packed.shape[1]}×{packed.shape[2]}")
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.kernel, axis=(1, 2))
        taken = windows[:, :: self.stride, :: self.stride].transpose(0, 1, 2, 4, 5, 3)
        return np.ascontiguousarray(taken).reshape(*taken.shape[:3], -1)


@dataclass(frozen=True, eq=False)
class Thresholds:
    """BatchNorm, scale and sign after a product, as one comparison of its whole-number sums."""

    least: NDArray[np.int32]  # sums from which on the sign is +1, or −1 where `turned`; broadcast against the sums
    turned: Bits

    @classmethod
    def of(cls, levels: NDArray[np.int32], signs: Bits) -> Thresholds | None:
        """From the sign at every level that a sum can have; None if a sign changes more than once.

        Args:
            levels: (n,), ascending.
            signs: (n, …).
        """
        changes = signs[1:] != signs[:-1]
        if (changes.sum(axis=0) > 1).any():
            return None
        changed, turned = changes.any(axis=0), signs[0]
        first = levels[1:][np.argmax(changes, axis=0)]
        least = np.where(changed, first, levels[-1] + 1).astype(np.int32)
        return cls(least, turned)

    def bits(self, sums: Sums) -> Bits:
        """The signs, as bits."""
        found: Bits = (sums >= self.least) ^ self.turned
        return found

    @property
    def bytes(self) -> int:
        """Of what is stored, the turns as bits."""
        return self.least.nbytes + -(-self.turned.size // 8)


def _bytes(bits: Bits) -> NDArray[np.uint8]:
    """Bits of the last axis in bytes, the lowest first."""
    return np.packbits(bits, axis=-1, bitorder="little")


def _channel_bytes(bits: Bits) -> NDArray[np.uint8]:
    """(items, channels, height, width) to (items, height, width, bytes); whole planes are shifted at a time."""
    items, channels, height, width = bits.shape
    missing = -channels % 8
    full = np.pad(bits, ((0, 0), (0, missing), (0, 0), (0, 0))) if missing else np.ascontiguousarray(bits)
    planes = full.view(np.uint8).reshape(items, -1, 8, height, width)
    packed = planes[:, :, 0].copy()
    for place in range(1, 8):
        packed |= planes[:, :, place] << np.uint8(place)
    return np.ascontiguousarray(packed.transpose(0, 2, 3, 1))


def _words(rows: NDArray[np.uint8]) -> Words:
    """Bytes of each row in words of 64."""
    missing = -rows.shape[1] % 8
    full = np.pad(rows, ((0, 0), (0, missing))) if missing else np.ascontiguousarray(rows)
    return full.view("<u8")


def _sums(weights: Words, inputs: Words, columns: int, path: str) -> Sums:
    """What fills up words agrees, and counts as so many ones too many."""
    full = 64 * weights.shape[1]
    return sign_product(weights, inputs, full, path) - np.int32(full - columns)
