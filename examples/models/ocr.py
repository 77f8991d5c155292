"""Reading text in a picture with three small networks: find the lines, turn them upright, spell them.

Networks: PP-OCR (Apache-2.0) as ONNX files in package `rapidocr`. Everything around them is numpy and Pillow,
and whoever calls says how a network is run, so each of the three can run on a fleet of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from examples.models.ocr_boxes import Box, find_boxes
from examples.models.packages import Member, fetch_all
from shoal.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

Run = Callable[[str, NDArray[np.float32]], NDArray[np.float32]]  # network name, its input → its output

SHAPES = {"det": (1, 3, 736, 736), "cls": (1, 3, 48, 192), "rec": (1, 3, 48, 320)}
INPUT = "x"  # of all three
FILES = {
    "det": Member(
        "rapidocr/models/PP-OCRv6_det_small.onnx",
        "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
    ),
    "cls": Member(
        "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx",
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
    ),
    "rec": Member(
        "rapidocr/models/PP-OCRv6_rec_small.onnx",
        "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
    ),
}
TURNED_SHARE = 0.9  # a line is turned by 180 degrees where the classifier is surer than this
BLANK = 0  # the network's class for "no character"
GAP_SHARE = 0.5  # a line too long for the network is cut in the last half of its window


def models() -> dict[str, Path]:
    """The three ONNX files, by name: "det", "cls", "rec"; downloads 27 MB the first time.

    Their shapes are open; the pipeline always feeds `SHAPES`. det (1, 3, H, W) → text probability
    (1, 1, H, W); cls → probabilities (1, 2) of upright and turned; rec → probabilities (1, steps, classes).
    """
    return dict(zip(FILES, fetch_all("rapidocr", "3.10.0", FILES.values()), strict=True))


def characters() -> tuple[str, ...]:
    """What the classes of "rec" spell: nothing, the characters in the model's own list, the space."""
    import onnx

    properties = onnx.load(models()["rec"]).metadata_props
    listed = next((entry.value for entry in properties if entry.key == "character"), None)
    if listed is None:
        raise InputError("the model lists no characters", where="rec")
    return ("", *listed.splitlines(), " ")


def onnxruntime_run(threads: int = 1) -> Run:
    """Run each network undivided, in this process."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # these files make onnxruntime warn about constants it cannot fold
    sessions = {name: onnxruntime.InferenceSession(path, options) for name, path in models().items()}

    def run(name: str, array: NDArray[np.float32]) -> NDArray[np.float32]:
        output: NDArray[np.float32] = sessions[name].run(None, {INPUT: array})[0]
        return output

    return run


def read(image: Image.Image, run: Run) -> list[str]:
    """The texts in a picture, from top to bottom and left to right.

    Args:
        image: any mode; text should be roughly horizontal.
        run: network name ("det", "cls" or "rec") and its input of `SHAPES[name]` → its output.
    """
    picture = image.convert("RGB")
    spelling = characters()
    texts = []
    for box in _in_reading_order(_boxes(picture, run)):
        line = _upright(picture.crop((box.left, box.top, box.right, box.bottom)), run)
        parts = [_spell(run("rec", _strip(part, "rec")), spelling).strip() for part in _short(line)]
        text = " ".join(part for part in parts if part)
        if text:
            texts.append(text)
    return texts


def _boxes(picture: Image.Image, run: Run) -> list[Box]:
    """Where text is, in pixels of the picture."""
    from PIL import Image

    height, width = SHAPES["det"][2:]
    scale = min(width / picture.width, height / picture.height)
    size = (max(round(picture.width * scale), 1), max(round(picture.height * scale), 1))
    pixels = _normal(picture.resize(size, Image.Resampling.BILINEAR))
    around = ((0, 0), (0, height - size[1]), (0, width - size[0]))
    chances = run("det", np.pad(pixels, around, mode="edge")[None])[0, 0, : size[1], : size[0]]
    boxes = (box.scaled(picture.width / size[0], picture.height / size[1]) for box in find_boxes(chances))
    return [box.within(picture.width, picture.height) for box in boxes]


def _in_reading_order(boxes: list[Box]) -> list[Box]:
    """Boxes whose middles differ by less than half a height share a row."""
    rows: list[list[Box]] = []
    for box in sorted(boxes, key=lambda box: box.middle):
        if rows and box.middle - rows[-1][0].middle < rows[-1][0].height / 2:
            rows[-1].append(box)
        else:
            rows.append([box])
    return [box for row in rows for box in sorted(row, key=lambda box: box.left)]


def _upright(line: Image.Image, run: Run) -> Image.Image:
    from PIL import Image

    _, _, height, width = SHAPES["cls"]
    start = line.crop((0, 0, min(line.width, line.height * width // height), line.height))
    turned = run("cls", _strip(start, "cls"))[0, 1] > TURNED_SHARE
    return line.transpose(Image.Transpose.ROTATE_180) if turned else line


def _short(line: Image.Image) -> list[Image.Image]:
    """Pieces that fit the network's window without being squeezed, cut in the emptiest columns."""
    _, _, height, width = SHAPES["rec"]
    window = math.floor(width / height * line.height)
    parts = []
    while line.width > window:
        ink = np.asarray(line.convert("L"), np.float32).std(axis=0)
        cut = _emptiest(ink[:window])
        parts.append(line.crop((0, 0, cut, line.height)))
        line = line.crop((cut, 0, line.width, line.height))
    return [*parts, line]


def _emptiest(ink: NDArray[np.float32]) -> int:
    """The middle of the widest run of nearly empty columns in the last part of the window."""
    start = int(len(ink) * GAP_SHARE)
    empty = ink[start:] <= ink[start:].min() + 0.1 * np.ptp(ink[start:])
    at, best, best_length = start, start, 0
    for is_empty, run in groupby(empty):
        length = len(list(run))
        if is_empty and length >= best_length:
            best, best_length = at + length // 2, length
        at += length
    return max(best, 1)


def _strip(line: Image.Image, name: str) -> NDArray[np.float32]:
    """A line of text at the network's height, zeros to its right: `SHAPES[name]`."""
    from PIL import Image

    _, channels, height, width = SHAPES[name]
    wide = min(max(math.ceil(line.width / line.height * height), 1), width)
    strip = np.zeros((1, channels, height, width), np.float32)
    strip[0, :, :, :wide] = _normal(line.resize((wide, height), Image.Resampling.BILINEAR))
    return strip


def _normal(picture: Image.Image) -> NDArray[np.float32]:
    """(3, H, W), blue first as these networks were trained, values −1 to 1."""
    pixels = np.asarray(picture, np.float32)[..., ::-1].transpose(2, 0, 1)
    return np.ascontiguousarray(pixels / 127.5 - 1)


def _spell(chances: NDArray[Any], spelling: tuple[str, ...]) -> str:
    """Greedy CTC: the likeliest class of each step, repeats merged, blanks dropped [Graves et al., 2006]."""
    classes = chances[0].argmax(axis=-1)
    return "".join(spelling[index] for index, _ in groupby(classes.tolist()) if index != BLANK)
