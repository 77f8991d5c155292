"""EfficientNet-Lite0 and crops of real photos, where the examples have fetched them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal import cache
from shoal.errors import InputError, MissingExtra

MODEL = "efficientnet_lite0-*.onnx"
PHOTOS = (
    ("scikit-image", "skimage/data/*.png"),
    ("scikit-learn", "sklearn/datasets/images/*.jpg"),
)
SIDE, LEAST_SIDE = 224, 96  # pixels, of a crop for the network and of one in the photo
HINT = "run `python -m examples.demo` once: it fetches network and photos"


def efficientnet() -> Path:
    """The network's file.

    Raises:
        InputError: it is not there.
    """
    found = sorted(cache.folder("models").glob(MODEL))
    if not found:
        raise InputError("EfficientNet-Lite0 is not at hand", hint=HINT)
    return found[-1]


def crops(count: int, seed: int) -> list[dict[str, NDArray[np.float32]]]:
    """So many crops of photos, at random places and sizes, half of them mirrored, as the network takes them.

    Raises:
        InputError: there are no photos.
        MissingExtra: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as fault:
        raise MissingExtra("Pillow", "photos") from fault
    files = [path for path in _photos() if min(_size(path)) > 2 * LEAST_SIDE]
    if not files:
        raise InputError("there are no photos at hand", hint=HINT)
    source = np.random.default_rng(seed)
    pictures = [Image.open(path).convert("RGB") for path in files]
    found = []
    for number in range(count):
        picture = pictures[number % len(pictures)]
        side = int(source.integers(LEAST_SIDE, min(picture.size) + 1))
        left, top = (int(source.integers(0, whole - side + 1)) for whole in picture.size)
        crop = picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        pixels = np.asarray(crop, np.float32)[:, :: int(source.choice((-1, 1)))]
        image: NDArray[np.float32] = np.ascontiguousarray(
            ((pixels - 127) / 128).transpose(2, 0, 1)[None], np.float32
        )
        found.append({"image": image})
    return found


def _photos() -> Iterator[Path]:
    for package, pattern in PHOTOS:
        kept = sorted(cache.folder("packages").glob(f"{package}-*/{pattern}"))
        if not kept:
            try:
                kept = sorted(Path(str(metadata.distribution(package).locate_file(""))).glob(pattern))
            except metadata.PackageNotFoundError:
                continue
        yield from kept


def _size(path: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(path) as picture:
        size: tuple[int, int] = picture.size
        return size
