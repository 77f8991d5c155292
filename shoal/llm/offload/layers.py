"""Layers that are fetched before their use and let go after it: hooks on a module of transformers, whose code stays.

Exact: the module's own code computes with the same weights; only a matrix in tiles is multiplied piece by piece.
Source: Rajbhandari et al., "ZeRO-Infinity", SC 2021, sections 5 and 6: overlap, tiling for memory, no refactoring.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.errors import InputError, ModelError
from shoal.llm.library import transformers_module
from shoal.llm.offload.laid import EMBEDDED, HEAD, ROWS, STAYS, Laid, Tiles
from shoal.llm.offload.skeleton import owner_of, put, set_weight, skeleton
from shoal.store import Key, TensorStore

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel


@contextmanager
def offloaded(
    config: Mapping[str, Any], found: Laid, store: TensorStore, ahead: int = 1, attention: str = "eager"
) -> Iterator[PreTrainedModel]:
    """The model of a configuration with its weights in a store.

    Args:
        config: as Hugging Face has it.
        found: which key holds what.
        store: with all of them; its budget holds what stays, what is used at once, and what is fetched ahead.
        ahead: records that are fetched while others are used, the next that are not here; 0: none.
        attention: see `shoal.llm.modules.module`.

    Raises:
        InputError: nothing can be so far ahead.
        LimitError: the budget does not hold what stays beside what is used at once.
        ModelError: the weights are another model's, or damaged.
        MissingExtra: transformers is not installed.
    """
    if ahead < 0:
        raise InputError("a distance is 0 or more", where="ahead", had=str(ahead))
    model = skeleton(config, attention)
    check_fits(model, found)
    with ExitStack() as stack:
        for name, value in stack.enter_context(store.hold([STAYS]))[0].items():
            put(model, name, value)
        ahead_of = _Ahead(store, found.order, ahead)
        for key, names in found.whole.items():
            if key != STAYS:
                _fetched(model.model.layers[key.layer - 1], _named(model, names), key, ahead_of)
        for name, tiles in found.tiles.items():
            if name not in (EMBEDDED, HEAD):
                _replace(model, name, _tiled(tiles, ahead_of, owner_of(model, name)[0].bias))
        _looked_up(model.get_input_embeddings(), found.tiles[EMBEDDED], ahead_of)
        model.lm_head = _tiled(found.tiles.get(HEAD, found.tiles[EMBEDDED]), ahead_of, None)
        yield model


class _Ahead:
    """Holds keys of a store, and has it fetch those that come next in the model's order."""

    def __init__(self, store: TensorStore, order: tuple[Key, ...], ahead: int) -> None:
        self.store, self._order, self._ahead = store, order, ahead
        self._places = {key: at for at, key in enumerate(order)}

    @contextmanager
    def hold(self, key: Key) -> Iterator[dict[str, Any]]:
        """The arrays of a key; what is after it is read next."""
        with self.store.hold([key], self.after(1 + self._places[key])) as (arrays,):
            yield arrays

    def after(self, place: int) -> list[Key] | None:
        """From here on, round the circle, as far as so many have to be fetched; None where nothing is fetched ahead.

        Those between that are here do not count: the reader goes on while they are used.
        """
        if not self._ahead:
            return None
        here, found, missing = self.store.held(), list[Key](), 0
        for key in chain(self._order[place:], self._order[:place]):
            found.append(key)
            missing += key not in here
            if missing == self._ahead:
                break
        return found


def _fetched(layer: nn.Module, names: Mapping[str, tuple[Any, str]], key: Key, ahead: _Ahead) -> None:
    """Have a layer's weights there while it runs."""
    torch, held = transformers_module("torch"), ExitStack()

    def begin(*_: Any) -> None:
        for name, array in held.enter_context(ahead.hold(key)).items():
            owner, last = names[name]
            getattr(owner, last).data = torch.from_numpy(array)

    def end(*_: Any) -> None:
        for owner, last in names.values():
            getattr(owner, last).data = torch.empty(0)
        held.close()

    for owner, last in names.values():
        set_weight(owner, last, torch.empty(0))
    layer.register_forward_pre_hook(begin)
    layer.register_forward_hook(end, always_call=True)


def _looked_up(embedding: nn.Module, tiles: Tiles, ahead: _Ahead) -> None:
    """Have an embedding read the rows that it is asked for, and no others: of their tiles, one after another."""
    torch = transformers_module("torch")
    wide: Any = embedding  # of torch, or of transformers with a factor
    wide.padding_idx = None  # it says where gradients stop, and is checked against rows that are not there now

    def begin(_: Any, given: tuple[Tensor]) -> tuple[Tensor]:
        asked, places = torch.unique(given[0], return_inverse=True)
        numbers = asked.numpy()
        rows = torch.empty(len(numbers), wide.embedding_dim)
        of = np.searchsorted(tiles.starts, numbers, side="right") - 1
        for at in np.unique(of):
            mine = np.flatnonzero(of == at)
            with ahead.store.hold([tiles.keys[at]], ahead.after(0)) as (arrays,):
                rows[mine] = torch.from_numpy(arrays[ROWS][numbers[mine] - tiles.starts[at]])
        wide.weight.data = rows
        return (places,)

    def end(*_: Any) -> None:
        wide.weight.data = torch.empty(0)

    set_weight(wide, "weight", torch.empty(0))
    embedding.register_forward_pre_hook(begin)
    embedding.register_forward_hook(end, always_call=True)


def _tiled(tiles: Tiles, ahead: _Ahead, bias: Any) -> nn.Module:
    """A linear layer whose rows are fetched tile by tile: working memory falls by the number of tiles."""
    torch = transformers_module("torch")

    class Tiled(torch.nn.Module):  # type: ignore[misc, name-defined]  # torch is known only here
        def __init__(self) -> None:
            super().__init__()
            self.bias = bias

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = x.new_empty(*x.shape[:-1], tiles.rows)
            for key, start, end in zip(tiles.keys, tiles.starts, tiles.starts[1:], strict=False):
                with ahead.hold(key) as arrays:
                    out[..., start:end] = x @ torch.from_numpy(arrays[ROWS]).T
            return out if self.bias is None else out + self.bias

    found: nn.Module = Tiled()
    return found


def check_fits(model: PreTrainedModel, found: Laid) -> None:
    """Refuse weights of another model.

    Raises:
        ModelError: names are missing, or too many.
    """
    tied = {HEAD} if HEAD not in found.tiles else set()
    wanted = set(model.state_dict()) - tied
    had = {name for names in found.whole.values() for name in names} | set(found.tiles)
    if wanted != had:
        raise ModelError("the store holds another model's weights", where=model.config.model_type,
                         needed=", ".join(sorted(wanted - had)[:3]) or None,
                         had=", ".join(sorted(had - wanted)[:3]) or None)  # fmt: skip


def _named(model: PreTrainedModel, names: tuple[str, ...]) -> dict[str, tuple[Any, str]]:
    return {name: owner_of(model, name) for name in names}


def _replace(model: PreTrainedModel, name: str, made: nn.Module) -> None:
    path = name.removesuffix(".weight")
    parent, _, last = path.rpartition(".")
    setattr(model.get_submodule(parent), last, made)
