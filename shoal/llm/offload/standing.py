"""What stands for a layer's stacked matrices while its experts are elsewhere, and how their memory is freed and filled again."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from shoal.llm.library import transformers_module
from shoal.llm.offload._sites import Site
from shoal.llm.offload.records import matrix
from shoal.store import Key, Tier

if TYPE_CHECKING:
    from torch import Tensor

    from shoal.store.values import Arrays


class Source(Protocol):
    """Where a layer's experts come from while it multiplies."""

    def of(self, expert: int) -> Arrays:
        """What is stored of an expert; valid until another one is asked for."""


@contextmanager
def standing(site: Site, source: Source) -> Iterator[None]:
    """Where the class looks for stacked matrices, it finds those of the source."""
    inside = vars(site.experts)
    for name in site.names:
        inside[name] = _Stack(source, site, name)
    try:
        yield
    finally:
        for name in site.names:
            del inside[name]


@dataclass(frozen=True, eq=False)
class _Stack:
    """Stands for a stacked parameter: [expert] is that expert's matrix."""

    source: Source
    site: Site
    name: str

    def __getitem__(self, expert: Any) -> Tensor:
        return matrix(self.source.of(int(expert)), self.site, self.name)


def free(site: Site) -> None:
    """Leave the parameters their shape and no memory; whoever reads them past the source reads no numbers."""
    for name in site.names:
        parameter = site.stack(name)
        parameter.data = parameter.data.new_full((), math.nan).expand(parameter.shape)


def restore(found: Sequence[Site], tier: Tier) -> None:
    """Fill the parameters from a tier of what `write_experts` has written, which is closed then.

    Raises:
        ModelError: what lies there is damaged by now.
        WorkError: it cannot be read any more.
    """
    torch = transformers_module("torch")
    try:
        for place, site in enumerate(found):
            whole = {name: torch.empty(site.stack(name).shape, dtype=site.stack(name).dtype) for name in site.names}
            for expert in range(site.count):
                record = tier.records[Key(place, expert)]
                buffer = mmap.mmap(-1, record.bytes)
                tier.read(record.key, memoryview(buffer))
                for name, stacked in whole.items():
                    stacked[expert] = matrix(record.views(memoryview(buffer)), site, name)
            for name, stacked in whole.items():
                site.stack(name).data = stacked
    finally:
        tier.close()
