"""A model whose weights come from a store answers as the model in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import InputError, LimitError, ModelError
from shoal.llm.offload.laid import Laid, shapes_of, write_weights
from shoal.llm.offload.layers import offloaded
from shoal.llm.offload.skeleton import in_order_of_use
from shoal.llm.tiny import Tiny, tiny
from shoal.store import POLICIES, FileTier, Key, TensorStore

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

TILE = 48 << 10
TOKENS = torch.from_numpy(np.random.default_rng(3).integers(0, 256, (2, 20)))


def weights(model: Tiny) -> dict[str, Any]:
    return dict(model.weights)


@contextmanager
def running(
    model: Tiny, folder: Path, budget: float, ahead: int = 1, tile_bytes: int = TILE, policy: str = "cyclic"
) -> Iterator[tuple[Any, TensorStore, Laid]]:
    held = weights(model)
    shapes = in_order_of_use(model.config, shapes_of(held))
    found = write_weights(shapes, held.__getitem__, folder / "weights.store", tile_bytes)
    total = sum(each.nbytes for each in held.values())
    with (
        TensorStore(
            FileTier(folder / "weights.store"), round(budget * total), catalog.make(POLICIES, policy)
        ) as store,
        offloaded(model.config, found, store, ahead) as made,
        torch.no_grad(),
    ):
        yield made, store, found


@pytest.mark.parametrize("kind", ["llama", "mixtral", "experts16", "deepseek_v3"])
@pytest.mark.parametrize("ahead", [0, 2])
def test_answers_are_those_of_the_model_in_memory(kind: str, ahead: int, tmp_path: Path) -> None:
    model = tiny(kind)
    with torch.no_grad():
        wanted = model.module()(TOKENS).logits
    with running(model, tmp_path, 0.5, ahead) as (made, store, _):
        found = made(TOKENS).logits
        again = made(TOKENS).logits
        told = store.told()
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert torch.equal(found, again)
    assert told.peak_bytes <= told.budget_bytes
    assert any(use.then for use in told.uses) == bool(ahead)


@pytest.mark.parametrize("kind", ["llama", "deepseek_v3"])
def test_the_order_of_keys_is_the_order_of_use(kind: str, tmp_path: Path) -> None:
    with running(tiny(kind), tmp_path, 0.9, 0) as (made, store, found):
        made(TOKENS)
        used = [key for use in sorted(store.told().uses, key=lambda use: use.asked_s) for key in use.keys]
    first = used.index(found.order[0])
    assert used[first:] == list(found.order)


@pytest.mark.parametrize("ahead", [1, 2])
def test_what_is_fetched_ahead_is_what_is_not_here(ahead: int, tmp_path: Path) -> None:
    with running(tiny("llama"), tmp_path, 0.5, ahead) as (made, store, found):
        made(TOKENS)
        made(TOKENS)
        told, held, circle = store.told(), store.held(), found.order * 3
    lists = [use.then for use in told.uses if use.then]
    assert all(each == circle[circle.index(each[0]) :][: len(each)] for each in lists)
    assert max(map(len, lists)) > ahead  # past those that are here
    surplus = len(held) + sum(each.demanded for each in told.reads)  # not used as yet, or gone for who waited
    assert told.records_read <= len(told.uses) + surplus


def test_text_is_the_same_token_for_token(tmp_path: Path) -> None:
    model = tiny("llama")
    wanted = model.module().generate(TOKENS[:1], max_new_tokens=12, do_sample=False)
    with running(model, tmp_path, 0.35) as (made, _, _):
        assert torch.equal(made.generate(TOKENS[:1], max_new_tokens=12, do_sample=False), wanted)


def test_weights_take_no_memory_between_layers(tmp_path: Path) -> None:
    with running(tiny("llama"), tmp_path, 0.5) as (made, _, found):
        made(TOKENS)
        kept = {name: each.numel() for name, each in made.named_parameters() if each.numel()}
        assert set(kept) == {"model.norm.weight"} == set(found.whole[Key(0)])
        assert not any(each.is_meta for each in (*made.parameters(), *made.buffers()))


def test_a_matrix_larger_than_the_budget_runs_in_tiles_only(tmp_path: Path) -> None:
    model = tiny("llama")
    largest = max(each.nbytes for name, each in model.weights.items() if "embed" in name)
    total = sum(each.nbytes for each in model.weights.values())
    budget = 0.7 * largest / total
    with torch.no_grad():
        wanted = model.module()(TOKENS).logits
    with (
        pytest.raises(LimitError, match="not even one record") as refused,
        running(model, tmp_path, budget, tile_bytes=1 << 30),
    ):
        pass
    assert refused.value.hint == "cut it into tiles"
    with running(model, tmp_path, budget, 0, tile_bytes=16 << 10) as (made, store, _):
        torch.testing.assert_close(made(TOKENS).logits, wanted, atol=1e-5, rtol=1e-5)
        assert store.told().peak_bytes <= budget * total


@pytest.mark.parametrize("kind", ["llama", "experts16"])
def test_the_smallest_budget_is_the_one_that_is_said(kind: str, tmp_path: Path) -> None:
    model = tiny(kind)
    with running(model, tmp_path, 1.1) as (_, store, found):
        least = found.least_bytes(dict(store.told().sizes))
    total = sum(each.nbytes for each in model.weights.values())
    with running(model, tmp_path, (least + 0.5) / total, 0) as (made, _, _):
        made(TOKENS)
    with (
        pytest.raises(LimitError, match="budget"),
        running(model, tmp_path, (least - 4096) / total, 0) as (made, _, _),
    ):
        made(TOKENS)


def test_a_damaged_layer_stops_the_model_and_nothing_hangs(tmp_path: Path) -> None:
    with running(tiny("llama"), tmp_path, 0.4, 0) as (made, _, _):
        path = tmp_path / "weights.store"
        data = bytearray(path.read_bytes())
        data[FileTier(path).records[Key(2)].offset + 9] ^= 16
        path.write_bytes(data)
        with pytest.raises(ModelError, match="2: a record of the store is not what was written"):
            made(TOKENS)


def test_another_models_weights_and_no_decoders_are_refused(tmp_path: Path) -> None:
    held = weights(tiny("llama"))
    found = write_weights(shapes_of(held), held.__getitem__, tmp_path / "x", TILE)
    with (
        TensorStore(FileTier(tmp_path / "x"), 1 << 24, catalog.make(POLICIES, "cyclic")) as store,
        pytest.raises(ModelError, match="another model's weights"),
        offloaded(tiny("mixtral").config, found, store),
    ):
        pass
    with pytest.raises(ModelError, match="no decoder's weights"):
        write_weights({"weight": (3, 4)}, lambda _: np.zeros((3, 4), np.float32), tmp_path / "y")
    with pytest.raises(InputError, match="a tile is smaller than a row"):
        write_weights(shapes_of(held), held.__getitem__, tmp_path / "y", 100)
