"""Rows of figures with a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from shoal.train.data import Data, drawn
from shoal.train.tasks._files import of_scikit_learn

FILES = {"breast_cancer": "breast_cancer.csv", "wine": "wine_data.csv"}


@dataclass(frozen=True)
class Table:
    """569 cell samples of 30 figures in two classes, or 178 wines of 13 in three. Source: UCI, as scikit-learn ships."""

    name: Literal["breast_cancer", "wine"] = "breast_cancer"

    pictures = False

    def load(self) -> Data:
        """See `Task.load`."""
        table = np.loadtxt(of_scikit_learn(f"data/{FILES[self.name]}"), delimiter=",", skiprows=1)
        y = table[:, -1].astype(np.int64)
        return drawn(table[:, :-1].astype(np.float32), y, int(y.max()) + 1)
