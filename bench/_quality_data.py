"""Real photos and real sentences for `bench.quality`: what is calibrated with is disjoint from what is tested on."""

from __future__ import annotations

import ast
import pydoc_data.topics
import re
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from examples.models import efficientnet_lite0, photos
from examples.models.packages import Member, fetch_all

Arrays = Mapping[str, NDArray[Any]]

# Photos of scikit-image 0.26.0 that are not among those tested on, with the digests it publishes.
OTHERS = (
    ("astronaut.png", "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5"),
    ("brick.png", "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf"),
    ("clock_motion.png", "f029226b28b642e80113d86622e9b215ee067a0966feaf5e60604a1e05733955"),
    ("coins.png", "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba"),
    ("grass.png", "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89"),
    ("gravel.png", "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12"),
    ("hubble_deep_field.jpg", "3a19c5dd8a927a9334bb1229a6d63711b1c0c767fb27e2286e7c84a3e2c2f5f4"),
    ("ihc.png", "f8dd1aa387ddd1f49d8ad13b50921b237df8e9b262606d258770687b0ef93cef"),
    ("moon.png", "78739619d11f7eb9c165bb5d2efd4772cee557812ec847532dbb1d92ef71f577"),
    ("retina.jpg", "38a07f36f27f095e818aea7b96d34202c05176d30253c66733f2e00379e9e0e6"),
    ("rocket.jpg", "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c"),
)
LEAST_SIDE = 0.5  # of a photo's shorter side
TOKENS = 32
SENTENCE = re.compile(r"(?:(?<=[.!?])\s+|\A)([A-Z][^.!?]{39,160}[.])(?=\s|\Z)")
MARKUP = re.compile(r"[*`_]{1,2}|\[[0-9]+\]")


def tested_photos() -> list[Path]:
    """The six photos whose subjects are ImageNet classes."""
    return [photo.path for photo in photos.photos()]


def calibration_photos() -> list[Path]:
    """Eleven other photos."""
    members = [Member(f"skimage/data/{name}", digest) for name, digest in OTHERS]
    return list(fetch_all("scikit-image", "0.26.0", members))


def crops(paths: Sequence[Path], count: int, seed: int) -> list[Arrays]:
    """So many squares, as many of each photo: of random size, at a random place, every other one mirrored."""
    from PIL import Image

    source = np.random.default_rng(seed)
    pictures = [Image.open(path).convert("RGB") for path in paths]
    found: list[Arrays] = []
    for number in range(count):
        picture = pictures[number % len(pictures)]
        side = int(min(picture.size) * source.uniform(LEAST_SIDE, 1))
        left, top = (int(source.integers(0, size - side + 1)) for size in picture.size)
        square = picture.crop((left, top, left + side, top + side))
        size = (efficientnet_lite0.SIDE, efficientnet_lite0.SIDE)
        pixels = np.asarray(square.resize(size, Image.Resampling.BICUBIC), np.float32)
        pixels = pixels[:, ::-1] if source.integers(2) else pixels
        found.append({"image": np.ascontiguousarray(((pixels - 127) / 128).transpose(2, 0, 1)[None])})
    return found


def sentences() -> tuple[list[str], list[str]]:
    """Sentences of Python's own documentation: of every other text to calibrate with, of the rest to test on."""
    texts = [*(str(text) for _, text in sorted(pydoc_data.topics.topics.items())), *_documented()]
    calibration, tested = (list(dict.fromkeys(_sentences(some))) for some in (texts[0::2], texts[1::2]))
    known = set(calibration)
    return calibration, [each for each in tested if each not in known]


def encoded(texts: Sequence[str]) -> list[Arrays]:
    """MiniLM's inputs, one item a text, padded or cut to the same width."""
    from examples.models import minilm

    together = minilm.encode(texts, TOKENS)
    return [{name: array[row : row + 1] for name, array in together.items()} for row in range(len(texts))]


def _documented() -> Iterator[str]:
    """What the modules of the standard library say of themselves and their parts, one text a module."""
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        parts = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        nodes = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, parts)]
        yield "\n\n".join(filter(None, map(ast.get_docstring, nodes)))


def _sentences(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        for paragraph in re.split(r"\n\s*\n", text):
            if "::" in paragraph or ">>>" in paragraph:
                continue
            for found in SENTENCE.finditer(MARKUP.sub("", " ".join(paragraph.split()))):
                if sum(sign.isalpha() or sign == " " for sign in found[1]) > 0.9 * len(found[1]):
                    yield found[1]
