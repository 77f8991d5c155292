"""Pictures made worse: five kinds of corruption at five strengths.

Kinds as in Hendrycks and Dietterich, arXiv 1903.12261; strengths are our own, in units of the pictures' deviation, as
pictures here are small and standardised.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, MissingExtra

F32 = NDArray[np.float32]
STRENGTHS = 5
_NOISE = (0.2, 0.4, 0.6, 0.8, 1.0)  # deviation
_BLUR = (0.4, 0.6, 0.8, 1.0, 1.3)  # deviation of the kernel, pixels
_CONTRAST = (0.75, 0.6, 0.45, 0.3, 0.2)  # what is left of the distance from the mean
_JPEG = (50, 30, 18, 10, 5)  # quality
_PIXELATE = (0.2, 0.4, 0.6, 0.8, 1.0)  # share of the way to means of 2×2 pixels


def kinds() -> tuple[str, ...]:
    """The names of all corruptions."""
    return tuple(_KINDS)


def corrupted(x: F32, kind: str, strength: int, seed: int = 0) -> F32:
    """Pictures (n, 1, height, width) made worse.

    Args:
        x: in grey, of even sides.
        kind: one of `kinds`.
        strength: 1 to 5.
        seed: of the noise.

    Raises:
        InputError: no such kind or strength, or no such pictures.
        MissingExtra: JPEG without Pillow.
    """
    if kind not in _KINDS or not 1 <= strength <= STRENGTHS:
        raise InputError(f"no corruption '{kind}' of strength {strength}",
                         needed=f"{', '.join(_KINDS)}; 1 to {STRENGTHS}")  # fmt: skip
    if x.ndim != 4 or x.shape[1] != 1 or x.shape[2] % 2 or x.shape[3] % 2:
        raise InputError("no grey pictures of even sides", had=str(x.shape))
    return np.asarray(_KINDS[kind](x, strength - 1, seed), np.float32)


def _noise(x: F32, level: int, seed: int) -> F32:
    return x + np.float32(_NOISE[level]) * np.random.default_rng(seed).standard_normal(x.shape, np.float32)


def _blur(x: F32, level: int, seed: int) -> F32:
    places = np.arange(-3, 4)
    kernel = np.exp(-0.5 * (places / _BLUR[level]) ** 2)
    kernel /= kernel.sum()
    for axis in (2, 3):
        around = [(3, 3) if each == axis else (0, 0) for each in range(4)]
        padded, size = np.pad(x, around, mode="edge"), x.shape[axis]
        x = np.zeros_like(x)
        for at, weight in enumerate(kernel.astype(np.float32)):
            x += weight * padded.take(range(at, at + size), axis)
    return x


def _contrast(x: F32, level: int, seed: int) -> F32:
    mean = x.mean(axis=(2, 3), keepdims=True)
    found: F32 = mean + np.float32(_CONTRAST[level]) * (x - mean)
    return found


def _pixelate(x: F32, level: int, seed: int) -> F32:
    count, _, height, width = x.shape
    means = x.reshape(count, 1, height // 2, 2, width // 2, 2).mean(axis=(3, 5))
    coarse = means.repeat(2, axis=2).repeat(2, axis=3)
    found: F32 = x + np.float32(_PIXELATE[level]) * (coarse - x)
    return found


def _jpeg(x: F32, level: int, seed: int) -> F32:
    """All pictures as one tall one, so that a file is written once; sides are whole blocks of 8 or repeat to such."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("Pillow", "photos") from None
    low, high = float(x.min()), float(x.max())
    span = max(high - low, 1e-6)
    around = ((0, 0), (0, 0), (0, -x.shape[2] % 8), (0, -x.shape[3] % 8))
    padded = np.pad(x, around, mode="edge")
    tall = padded.reshape(-1, padded.shape[3])
    parts = []
    for at in range(0, len(tall), 32768):  # a JPEG has at most 65,535 lines
        file = io.BytesIO()
        eight = np.rint((tall[at : at + 32768] - low) / span * 255).astype(np.uint8)
        Image.fromarray(eight).save(file, "JPEG", quality=_JPEG[level])
        with Image.open(file) as picture:
            parts.append(np.asarray(picture, np.float32) * np.float32(span / 255) + np.float32(low))
    back: F32 = np.concatenate(parts).reshape(padded.shape)
    return back[:, :, : x.shape[2], : x.shape[3]]


_KINDS: dict[str, Callable[[F32, int, int], F32]] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
    "jpeg": _jpeg,
    "pixelate": _pixelate,
}
