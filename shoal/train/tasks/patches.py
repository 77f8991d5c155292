"""Which part of which photo a patch is from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal.errors import InputError
from shoal.train.data import Data, standardised
from shoal.train.tasks._files import grey, of_scikit_learn

Cut = tuple[NDArray[np.float32], NDArray[np.int64]]  # patches and their classes
PHOTOS = ("images/china.jpg", "images/flower.jpg")


@dataclass(frozen=True)
class Patches:
    """Patches of scikit-learn's two photos; a class is a band of a photo, so its texture tells.

    Every third strip of a photo, from left to right, is for testing. Training patches overlap each other, and no test
    patch.
    """

    side: int = 16  # pixels; a strip is four times as wide
    bands: int = 2  # of each photo, from top to bottom

    pictures = True

    def load(self) -> Data:
        """See `Task.load`."""
        if self.side < 4 or self.bands < 1:
            raise InputError("no patches", needed="a side of at least 4 pixels and a band", had=str(self.side))
        parts: tuple[list[Cut], list[Cut]] = ([], [])
        for index, member in enumerate(PHOTOS):
            picture = grey(of_scikit_learn(member))
            for strip in range(picture.shape[1] // (4 * self.side)):
                columns = picture[:, 4 * self.side * strip : 4 * self.side * (strip + 1)]
                tested = strip % 3 == 2
                parts[tested].append(self._cut(columns, index, self.side if tested else self.side // 2))
        (x, y), (test_x, test_y) = (
            (np.concatenate([each[0] for each in part]), np.concatenate([each[1] for each in part]))
            for part in parts
        )
        return standardised(x, y, test_x, test_y, len(PHOTOS) * self.bands)

    def _cut(self, strip: NDArray[np.float32], photo: int, step: int) -> Cut:
        """Patches of a strip that lie in one band, so many pixels apart, and their classes."""
        x, y, height = [], [], strip.shape[0] // self.bands
        for band in range(self.bands):
            rows = strip[band * height : (band + 1) * height]
            cells = np.lib.stride_tricks.sliding_window_view(rows, (self.side, self.side))[::step, ::step]
            x.append(cells.reshape(-1, 1, self.side, self.side))
            y.append(np.full(len(x[-1]), photo * self.bands + band))
        return np.concatenate(x), np.concatenate(y).astype(np.int64)
