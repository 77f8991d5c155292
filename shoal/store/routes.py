"""Which experts the tokens of a text went to: the one form of routing that is recorded, learned from and replayed."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal import codec
from shoal.errors import InputError

MOST_BYTES = 2 << 30  # of a file of routes, unpacked
KINDS = {"chosen": np.int16, "weights": np.float32, "foreseen": np.int16, "documents": np.int32}
NOBODY = -1  # in `foreseen`, where no router was asked


@dataclass(frozen=True, eq=False)
class RoutingTrace:
    """n tokens in the order they were read, through L layers with experts, k of them a token.

    Attributes:
        experts: how many a layer has.
        chosen: (n, L, k), numbers of experts.
        weights: (n, L, k), with what weight.
        foreseen: (n, L, k), what each layer's router says of the state that the layer before was given; -1 in layer 0.
        documents: (n,), number of the text a token is from, rising.
    """

    experts: int
    chosen: NDArray[np.int16]
    weights: NDArray[np.float32]
    foreseen: NDArray[np.int16]
    documents: NDArray[np.int32]

    def __post_init__(self) -> None:
        shape = self.chosen.shape
        alike = self.weights.shape == self.foreseen.shape == shape and self.documents.shape == shape[:1]
        if len(shape) != 3 or not alike or 0 in shape:
            shapes = ", ".join(f"{name} {getattr(self, name).shape}" for name in KINDS)
            raise InputError("no routes", needed="(tokens, layers, experts of a token)", had=shapes)
        low, high = int(self.chosen.min()), int(self.chosen.max())
        if low < 0 or not high < self.experts or int(self.foreseen.max()) >= self.experts:
            raise InputError("a token goes to an expert that is not there", needed=f"0 to {self.experts - 1}",
                             had=str(high if low >= 0 else low))  # fmt: skip

    @property
    def tokens(self) -> int:
        """n."""
        return len(self.chosen)

    @property
    def layers(self) -> int:
        """L."""
        return int(self.chosen.shape[1])

    @property
    def per_token(self) -> int:
        """k."""
        return int(self.chosen.shape[2])

    def loads(self) -> NDArray[np.int64]:
        """How often each expert is chosen, (L, experts)."""
        return np.stack(
            [np.bincount(self.chosen[:, at].ravel(), minlength=self.experts) for at in range(self.layers)]
        )

    def of(self, documents: NDArray[np.int32]) -> RoutingTrace:
        """Only the tokens of these texts.

        Raises:
            InputError: none of them is here.
        """
        mine = np.isin(self.documents, documents)
        return replace(self, **{name: getattr(self, name)[mine] for name in KINDS})

    def of_tokens(self, which: slice) -> RoutingTrace:
        """Only these tokens; at least one.

        Raises:
            InputError: there is none.
        """
        return replace(self, **{name: getattr(self, name)[which] for name in KINDS})

    def split(self, every: int = 2) -> tuple[RoutingTrace, RoutingTrace]:
        """To learn from and to test with: of so many texts in turn the last is for the test.

        Raises:
            InputError: there are fewer texts.
        """
        names = np.unique(self.documents)
        if len(names) < every or every < 2:
            raise InputError("too few texts to split", needed=f"{max(2, every)} at least", had=str(len(names)))
        test = names[every - 1 :: every]
        return self.of(np.setdiff1d(names, test)), self.of(test)

    def save(self, path: Path) -> None:
        """Write an .npz file.

        Raises:
            InputError: it cannot be written.
        """
        arrays = {name: getattr(self, name) for name in KINDS}
        codec.save_arrays(arrays | {"experts": np.asarray(self.experts)}, path)

    @classmethod
    def load(cls, path: Path) -> RoutingTrace:
        """What `save` wrote.

        Raises:
            InputError: it cannot be read, is too large, or holds no routes.
        """
        try:
            with zipfile.ZipFile(path) as packed:
                size = sum(each.file_size for each in packed.infolist())
            if size > MOST_BYTES:
                raise InputError(
                    "routes are too large", where=str(path), needed=f"{MOST_BYTES} bytes at most", had=f"{size}"
                )
            with np.load(path, allow_pickle=False) as found:
                arrays = {name: found[name].astype(kind, casting="same_kind") for name, kind in KINDS.items()}
                return cls(int(found["experts"]), **arrays)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as fault:
            raise InputError(f"no routes: {fault}", where=str(path)) from fault

    def steps(self) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        """(token, layer, experts) in the order of decoding one token after another."""
        for token, layers in enumerate(self.chosen.tolist()):
            for layer, chosen in enumerate(layers):
                yield token, layer, tuple(chosen)


def joined(traces: list[RoutingTrace]) -> RoutingTrace:
    """Traces of one model, one after another; their texts are numbered on."""
    arrays: dict[str, Any] = {name: np.concatenate([getattr(each, name) for each in traces]) for name in KINDS}
    arrays["documents"] = np.concatenate(
        [
            np.unique(each.documents, return_inverse=True)[1].astype(np.int32) + start
            for each, start in zip(
                traces, np.cumsum([0, *(len(np.unique(each.documents)) for each in traces[:-1])]), strict=True
            )
        ]
    ).astype(np.int32)
    return RoutingTrace(traces[0].experts, **arrays)
