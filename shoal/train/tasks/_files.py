"""Files of installed packages, found without importing them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError, MissingExtra


def of_scikit_learn(member: str) -> Path:
    """A data file of scikit-learn, by its path below `sklearn/datasets`.

    Raises:
        MissingExtra: it is not installed.
        InputError: this version has no such file.
    """
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise MissingExtra("scikit-learn", "train")
    path = Path(spec.origin).parent / "datasets" / member
    if not path.is_file():
        raise InputError("the installed scikit-learn lacks a data set", where=member)
    return path


def grey(path: Path) -> NDArray[np.float32]:
    """A picture file in grey, (height, width), 0 to 1.

    Raises:
        MissingExtra: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingExtra("Pillow", "photos") from None
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"), np.float32) / np.float32(255)
