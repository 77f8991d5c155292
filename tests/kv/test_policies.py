"""Stores against attention written out: what they read, hold and count, and what they take back."""

from __future__ import annotations

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import InputError
from shoal.kv.merging import merged, partial
from shoal.kv.policies.contract import FAMILY, Head, Policy, Store

torch = pytest.importorskip("torch")

BATCH, HEADS, GROUP, WIDTH = 2, 3, 2, 8
HEAD = Head(WIDTH, WIDTH)
EVERYTHING = (
    "full",
    "tiled",
    "tiled:tiles=50,page=4",
    "pages:dense=0,budget=512",
    "hybrid:dense=0,sink=8,budget=512",
)
NARROW = ("sliding:window=24", "streaming:sink=4,recent=20", "pages:dense=0,page=8,budget=24,sink=4",
          "hybrid:dense=0,streaming=[[0;2]]", "quantised", "quantised:bits=4")  # fmt: skip


def made(text: str) -> Policy:
    if "[[0;2]]" in text:
        from shoal.kv.policies.hybrid import Hybrid

        return Hybrid(((0, 2),), page=8, budget=24, sink=4, recent=20, dense=0)
    policy: Policy = catalog.make(FAMILY, text)
    return policy


def draw(tokens: int, seed: int = 0, heads: int = HEADS) -> torch.Tensor:
    found = torch.randn(BATCH, heads, 800, WIDTH, generator=torch.Generator().manual_seed(seed))
    return found[:, :, :tokens]


def asked(tokens: int = 1, seed: int = 9) -> torch.Tensor:
    found = torch.randn(BATCH, HEADS, GROUP, tokens, WIDTH, generator=torch.Generator().manual_seed(seed))
    return found


def filled(policy: Policy, tokens: int = 70) -> Store:
    """A store after a prompt and, one by one, ten tokens more."""
    store, keys, values = policy.store(0), draw(tokens), draw(tokens, 1)
    store.append(keys[:, :, :-10], values[:, :, :-10])
    store.select(asked(tokens - 10))
    for at in range(tokens - 10, tokens):
        store.append(keys[:, :, at : at + 1], values[:, :, at : at + 1])
        store.select(asked())
    return store


def attend(store: Store, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The output for one new token, (batch, KV heads, queries of one, width)."""
    all_keys, all_values = store.append(keys, values)
    parts = store.select(queries)
    rows = queries[:, :, :, 0]
    if parts is None:
        return partial(rows, all_keys, all_values, 1.0).output
    found = torch.full_like(rows, float("nan"))
    for heads in {tuple(part.heads) for part in parts}:
        mine = [part for part in parts if tuple(part.heads) == heads]
        given = [partial(rows[:, list(heads)], each.keys, each.values, 1.0) for each in mine]
        found[:, list(heads)] = merged(given).output
    return found


@pytest.mark.parametrize("text", EVERYTHING)
def test_what_reads_everything_gives_what_attention_gives(text: str) -> None:
    store, keys, values, queries = filled(made(text)), draw(71), draw(71, 1), asked()
    found = attend(store, queries, keys[:, :, 70:], values[:, :, 70:])
    wanted = partial(queries[:, :, :, 0], keys, values, 1.0).output
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("text", ["sliding:window=24", "streaming:sink=4,recent=20"])
@pytest.mark.parametrize("tokens", [15, 70, 700])
def test_both_ends_are_read_and_nothing_else(text: str, tokens: int) -> None:
    store, keys, values, queries = filled(made(text), tokens), draw(tokens + 1), draw(tokens + 1, 1), asked()
    sink, recent = (4, 20) if "sink" in text else (0, 24)
    seen = [*range(min(sink, tokens + 1)), *range(max(sink, tokens + 1 - recent), tokens + 1)]
    found = attend(store, queries, keys[:, :, tokens:], values[:, :, tokens:])
    wanted = partial(queries[:, :, :, 0], keys[:, :, seen], values[:, :, seen], 1.0).output
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    assert store.length == tokens + 1
    assert store.evict() <= 24


@pytest.mark.parametrize("text", [*EVERYTHING, *NARROW])
@pytest.mark.parametrize("tokens", [70, 73])
def test_bytes_read_are_those_of_the_formula(text: str, tokens: int) -> None:
    policy = made(text)
    store = filled(policy, tokens)
    store.traffic()
    attend(store, asked(), draw(1), draw(1, 1))
    read = sum(policy.read_bytes(tokens + 1, HEAD, 0, head) for head in range(HEADS))
    assert store.traffic().read == BATCH * read
    assert store.traffic().read == 0


@pytest.mark.parametrize("text", [*EVERYTHING, *NARROW])
def test_what_is_taken_back_leaves_no_trace(text: str) -> None:
    spare = {"sliding:window=24": ",spare=4", "streaming:sink=4,recent=20": ",spare=4"}.get(text, "")
    policy = made(text + spare)
    plain, cropped = filled(policy), filled(policy)
    for at in range(3):
        attend(cropped, asked(), draw(1, 20 + at), draw(1, 30 + at))
    cropped.crop(3)
    assert cropped.length == plain.length
    new = asked(), draw(1, 40), draw(1, 41)
    torch.testing.assert_close(attend(cropped, *new), attend(plain, *new), atol=1e-6, rtol=1e-6)
    with pytest.raises(InputError, match="cannot be taken back"):
        cropped.crop(1000)


def test_the_bound_of_a_page_is_above_every_product_and_reached_by_one_key() -> None:
    store = made("pages:dense=0,page=8,budget=24,sink=4").store(0)
    keys, queries = draw(70), asked()[:, :, :, 0]
    store.append(keys, keys)
    bounds = store.scores(queries)  # type: ignore[attr-defined]  # of pages alone
    products = (queries @ keys.transpose(-1, -2)).amax(dim=2)
    for page in range(9):
        assert (bounds[:, :, page] >= products[:, :, 8 * page : 8 * page + 8].amax(dim=-1) - 1e-5).all()
    single = made("pages:dense=0,page=1,budget=24,sink=4").store(0)
    single.append(keys, keys)
    torch.testing.assert_close(single.scores(queries), products, atol=1e-5, rtol=1e-5)  # type: ignore[attr-defined]


def test_a_choice_is_used_again_until_a_page_is_full() -> None:
    policy = catalog.make(FAMILY, "pages:dense=0,page=8,budget=24,sink=4,reuse=4")
    store = policy.store(0)
    store.append(draw(62), draw(62, 1))
    store.record = []
    for at in range(4):
        attend(store, asked(seed=at), draw(1, at), draw(1, at))
    first, second, third, fourth = store.record
    np.testing.assert_array_equal(first, second)
    assert third.max() == 8  # the token 64 began a page
    np.testing.assert_array_equal(third, fourth)


@pytest.mark.parametrize(("bits", "most"), [(8, 0.01), (4, 0.12)])
def test_rounding_states_its_loss(bits: int, most: float) -> None:
    store = catalog.make(FAMILY, f"quantised:bits={bits}").store(0)
    keys = draw(40)
    found, _ = store.append(keys, keys)
    wanted = float((found - keys).square().sum().sqrt() / keys.square().sum().sqrt())
    assert store.loss == pytest.approx(wanted, rel=1e-4)
    assert 0 < store.loss < most


def test_latents_are_kept_as_they_are() -> None:
    policy = catalog.make(FAMILY, "latent")
    store = policy.store(0)
    vector, rotary = draw(5, heads=1), draw(5, 1, heads=1)[..., :4]
    found = store.append(vector, rotary)
    torch.testing.assert_close(found, (vector, rotary))
    assert store.select(asked()) is None
    assert store.traffic().read == BATCH * policy.read_bytes(5, Head(WIDTH, 4))
    with pytest.raises(InputError, match="a model without latents"):
        policy.store(0).append(draw(5), draw(5))


@pytest.mark.parametrize("text", ["pages:page=0", "pages:budget=31,sink=16", "hybrid:budget=64,sink=64", "sliding:window=0",
                                  "streaming:recent=0", "tiled:tiles=0", "quantised:bits=3", "hybrid:spare=-1",
                                  "pages:reuse=0"])  # fmt: skip
def test_options_that_cannot_be_are_refused(text: str) -> None:
    with pytest.raises(InputError):
        catalog.make(FAMILY, text)


def test_a_streaming_head_that_the_model_has_not_is_refused() -> None:
    from shoal.kv.policies.hybrid import Hybrid

    with pytest.raises(InputError, match="a KV head that the model has not"):
        Hybrid(((0, 3),), dense=0).store(0).append(draw(4), draw(4))


def test_parts_merge_exactly_even_empty_ones() -> None:
    source = np.random.default_rng(0)
    keys, values, queries = draw(50), draw(50, 1), asked()[:, :, :, 0] * 4
    whole = partial(queries, keys, values, 1.0).output
    for _ in range(5):
        tile = torch.from_numpy(source.integers(0, 4, 50))  # the fifth tile has nothing
        parts = [partial(queries, keys[:, :, tile == at], values[:, :, tile == at], 1.0) for at in range(5)]
        torch.testing.assert_close(merged(parts).output, whole, atol=1e-5, rtol=1e-5)
        turned = merged(parts[::-1])
        torch.testing.assert_close(turned.output, whole, atol=1e-5, rtol=1e-5)
