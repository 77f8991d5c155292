"""Experts in a store: one record each, their matrices as they are or in codes."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shoal import formats
from shoal.errors import ModelError
from shoal.llm.library import transformers_module
from shoal.llm.offload._sites import Site, sites
from shoal.store import Key, Record, Tier, write_file

if TYPE_CHECKING:
    from torch import Tensor, nn

    from shoal.store.file import Index
    from shoal.store.values import Arrays

CODED = "|"  # between the names of a matrix, its format and a stream of its codes


def write_experts(model: nn.Module, path: Path, coded: Mapping[Key, str] | None = None) -> Index:
    """Write every expert of the model, Key(place among the layers with experts, number of the expert).

    Args:
        model: of transformers; stays as it is.
        path: of the file.
        coded: names of formats for some; the matrices of the others stay as they are, and so do all biases.

    Raises:
        ModelError: no layer has experts.
        InputError: there is no such format.
        WorkError: the file cannot be written.
    """
    names = coded or {}
    keys = ((Key(place, expert), site) for place, site in enumerate(sites(model)) for expert in range(site.count))
    return write_file(((key, _arrays(site, key.part, names.get(key, ""))) for key, site in keys), path)


def check_fits(place: int, site: Site, records: Mapping[Key, Record], where: str) -> None:
    """Refuse a store that was not written from such a model.

    Raises:
        ModelError: an expert is not there, or has other matrices.
    """
    for expert in range(site.count):
        record = records.get(Key(place, expert))
        parts = () if record is None else record.parts
        other = [
            part for part in parts if part.name in site.names and part.shape != site.stack(part.name).shape[1:]
        ]
        if other or {part.name.partition(CODED)[0] for part in parts} != set(site.names):
            raise ModelError("the store is of another model", where=f"{where}, {Key(place, expert)}",
                             needed=", ".join(site.names),
                             had=", ".join(f"{part.name} {part.shape}" for part in parts) or "nothing")  # fmt: skip


def matrix(arrays: Arrays, site: Site, name: str) -> Tensor:
    """An expert's share of a stacked parameter: a view of what is held, or what its codes stand for."""
    torch = transformers_module("torch")
    like = site.stack(name)
    if name in arrays:
        view: Tensor = torch.from_numpy(arrays[name]).view(like.dtype)
        return view
    made = torch.from_numpy(_decoded(arrays, name, like.shape[1:], turned=site.experts.is_transposed))
    found: Tensor = (made.T if site.experts.is_transposed else made).to(like.dtype)
    return found


def _arrays(site: Site, expert: int, form: str) -> dict[str, NDArray[Any]]:
    """An expert's record; a coded matrix is its streams, named "matrix|format|stream"."""
    torch = transformers_module("torch")
    found: dict[str, NDArray[Any]] = {}
    for name in site.names:
        own = site.stack(name).detach()[expert]
        if form and own.ndim == 2:
            rows = (own.T if site.experts.is_transposed else own).float().contiguous().numpy()
            made = formats.make(form)
            for stream, each in made.pack(formats.quantise(made, rows)).items():
                found[CODED.join((name, form, stream))] = each
        else:  # numpy has no bfloat16: its bits then
            found[name] = (own.view(torch.int16) if own.dtype == torch.bfloat16 else own).numpy()
    return found


def _decoded(arrays: Arrays, name: str, shape: Sequence[int], *, turned: bool) -> NDArray[np.float32]:
    """A channel is a row of what was coded."""
    streams, form = {}, ""
    for each, array in arrays.items():
        if each.startswith(name + CODED):
            _, form, stream = each.split(CODED)
            streams[stream] = array
    made, (rows, columns) = formats.make(form), shape
    return formats.restored(made, made.unpack(streams, (columns, rows) if turned else (rows, columns)))


class Source(Protocol):
    """Where a layer's experts come from while it multiplies."""

    def of(self, expert: int) -> Arrays:
        """What is stored of an expert; valid until another one is asked for."""


def matrices(source: Source, site: Site) -> Callable[[int, str], Tensor]:
    """What gives an expert's matrices, by number and name, for `Site.standing`."""
    return lambda expert, name: matrix(source.of(expert), site, name)


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
