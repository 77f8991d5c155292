"""A photo as a model's input, and its answer as classes."""

from __future__ import annotations

import io
import math
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, MissingExtra
from shoal.live import Signature, TensorForm
from shoal.serve.faults import Malformed, TooLarge

if TYPE_CHECKING:
    from PIL import Image

Array = NDArray[Any]

MOST_BYTES = 20 << 20  # of a JPEG or PNG file
MOST_PIXELS = 50_000_000  # of a photo before it is made smaller; three bytes each
CHANNELS = {1: "L", 3: "RGB"}


@dataclass(frozen=True)
class Pixels:
    """How a photo becomes numbers: (pixel − mean) / std, each pixel 0 to 255 in each of red, green and blue.

    A photo is turned upright, its middle of the input's proportions is cut out, and that is resized to the input.
    """

    mean: tuple[float, ...] = (0.0,)  # one for all channels, or one each
    std: tuple[float, ...] = (255.0,)
    crop: float = 1.0  # share of the largest such middle that is kept

    def __post_init__(self) -> None:
        """Refuse what no photo can be scaled by.

        Raises:
            InputError: a figure out of range.
        """
        if not 0 < self.crop <= 1:
            raise InputError("the crop is a share above 0, at most 1", where="pixels", had=f"{self.crop:g}")
        if not all(math.isfinite(each) for each in (*self.mean, *self.std)) or not all(self.std):
            raise InputError("mean and std are finite figures, std not zero", where="pixels")

    def __str__(self) -> str:
        mean, std = ("/".join(f"{each:g}" for each in some) for some in (self.mean, self.std))
        return f"mean={mean},std={std},crop={self.crop:g}"


def pixels_of(text: str) -> Pixels:
    """Read "mean=127,std=128,crop=0.875"; a figure for each channel is "123.7/116.3/103.5".

    Raises:
        InputError: not of that form, or a figure out of range.
    """
    found: dict[str, Any] = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        try:
            figures = tuple(float(each) for each in value.split("/"))
        except ValueError:
            figures = ()
        if name not in ("mean", "std", "crop") or not figures or (name == "crop" and len(figures) > 1):
            raise InputError(
                f"'{part}' says nothing of pixels", where="--pixels", hint="mean=127,std=128,crop=0.875"
            )
        found[name] = figures[0] if name == "crop" else figures
    return Pixels(**found)


@dataclass(frozen=True)
class Photos:
    """The one image input of a model, and what its classes are called; `photos_of` checks that they fit."""

    name: str
    form: TensorForm
    pixels: Pixels
    labels: tuple[str, ...] = ()

    @property
    def channels_last(self) -> bool:
        """Whether the input is (1, height, width, channels)."""
        return self.form.shape[1] not in CHANNELS

    @property
    def channels(self) -> int:
        """How many, 1 or 3."""
        return self.form.shape[3 if self.channels_last else 1]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        height, width = self.form.shape[1:3] if self.channels_last else self.form.shape[2:4]
        return width, height

    def array(self, data: bytes) -> Array:
        """The photo in the bytes of a JPEG or PNG file, in the shape of the input.

        Raises:
            Malformed: neither, or a damaged file.
            TooLarge: more pixels than MOST_PIXELS.
            MissingExtra: Pillow is not installed.
        """
        found = np.asarray(_decoded(data, CHANNELS[self.channels], self.size, self.pixels.crop))
        found = found.reshape((*found.shape[:2], self.channels))
        if self.form.dtype != "uint8":
            mean, std = (np.asarray(some, np.float32) for some in (self.pixels.mean, self.pixels.std))
            found = ((found.astype(np.float32) - mean) / std).astype(self.form.dtype)
        ordered = found if self.channels_last else found.transpose(2, 0, 1)
        return np.ascontiguousarray(ordered[None])

    def best(self, scores: Array, count: int) -> list[tuple[int, str, float]]:
        """The likeliest classes, likeliest first: index, label, probability (0 to 1).

        Scores that are no probabilities yet are made some (softmax).
        """
        flat = scores.astype(np.float64).reshape(-1)
        if flat.min() < 0 or abs(flat.sum() - 1) > 1e-3:
            flat = np.exp(flat - flat.max())
            flat /= flat.sum()
        order = np.argsort(-flat, kind="stable")[:count]
        return [(int(index), self.labels[index], float(flat[index])) for index in order]


def photos_of(signature: Signature, pixels: Pixels | None, labels: tuple[str, ...]) -> Photos | None:
    """How photos go into a model; None if it has no one image input, and nobody said that it had.

    Raises:
        InputError: `pixels` or `labels` were given, and do not fit the model.
    """
    found = Photos("", TensorForm("float32", ()), pixels or Pixels(), labels)
    if len(signature.inputs) == 1:
        name, form = next(iter(signature.inputs.items()))
        found = Photos(name, form, pixels or Pixels(), labels)
    if not _takes_photos(found.form):
        if pixels is None and not labels:
            return None
        raise InputError(
            "the model takes no photos", needed="one input of (1, 3, height, width) or (1, height, width, 3)"
        )
    if pixels is not None and found.form.dtype == "uint8":
        raise InputError("the model takes pixels as they are", where="--pixels", had="uint8")
    if any(len(some) not in (1, found.channels) for some in (found.pixels.mean, found.pixels.std)):
        raise InputError("mean and std are one figure, or one for each channel", where="--pixels", had=str(pixels))
    classes = [math.prod(form.shape) for form in signature.outputs.values()]
    if labels and classes != [len(labels)]:
        raise InputError("as many labels as the model has classes", where="--labels", needed=str(classes)[1:-1],
                         had=str(len(labels)))  # fmt: skip
    return found


def _takes_photos(form: TensorForm) -> bool:
    """Whether a form is that of one photo."""
    shape = form.shape
    known = form.dtype in ("uint8", "float16", "float32", "float64")
    return known and len(shape) == 4 and shape[0] == 1 and (shape[1] in CHANNELS or shape[3] in CHANNELS)


def _decoded(data: bytes, mode: str, size: tuple[int, int], crop: float) -> Image.Image:
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as fault:
        raise MissingExtra("Pillow", "serve") from fault
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
            if image.width * image.height > MOST_PIXELS:
                had = f"{image.width} × {image.height}"
                raise TooLarge("the photo has too many pixels", needed=f"at most {MOST_PIXELS}", had=had)
            picture = ImageOps.exif_transpose(image).convert(mode)
    except UnidentifiedImageError as fault:
        raise Malformed("not a JPEG or PNG file") from fault
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as fault:
        raise TooLarge("the photo has too many pixels", needed=f"at most {MOST_PIXELS}") from fault
    except (OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError, TypeError, ZeroDivisionError,
            OverflowError, struct.error) as fault:  # fmt: skip  # what Pillow raises on damaged files
        raise Malformed("a damaged JPEG or PNG file", had=str(fault)[:100] or None) from fault
    return picture.crop(_middle(picture.size, size, crop)).resize(size, Image.Resampling.BICUBIC)


def _middle(have: tuple[int, int], want: tuple[int, int], crop: float) -> tuple[int, int, int, int]:
    """The middle of a photo of `have` that has the proportions of `want`: left, top, right, bottom."""
    scale = min(have[0] / want[0], have[1] / want[1]) * crop
    width, height = (max(1, int(each * scale + 1e-9)) for each in want)
    left, top = (have[0] - width) // 2, (have[1] - height) // 2
    return left, top, left + width, top + height
