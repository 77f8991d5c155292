"""Handwritten digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from shoal.train.data import Data, drawn
from shoal.train.tasks._files import of_scikit_learn


@dataclass(frozen=True)
class Digits:
    """1,797 handwritten digits of 8×8 in 17 greys, ten classes. Source: UCI, as scikit-learn ships them."""

    pictures = True

    def load(self) -> Data:
        """See `Task.load`."""
        table = np.loadtxt(of_scikit_learn("data/digits.csv.gz"), delimiter=",")
        x = (table[:, :64] / 16).reshape(-1, 1, 8, 8).astype(np.float32)
        return drawn(x, table[:, 64].astype(np.int64), 10)
