"""Every policy of a cache keeps what `kv/policies/contract.py` promises."""

from __future__ import annotations

import pytest

from shoal import catalog
from shoal.errors import InputError
from shoal.kv.policies.contract import FAMILY, Head, Policy, Traffic

torch = pytest.importorskip("torch")

WIDTH, PROMPT, LAYER = 8, 90, 3  # a layer behind those that are dense
HEAD = Head(WIDTH, WIDTH)


def draw(tokens: int, seed: int) -> torch.Tensor:
    return torch.randn(1, 1, tokens, WIDTH, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", catalog.names(FAMILY))
def test_a_policy_keeps_its_promises(name: str) -> None:
    policy: Policy = catalog.make(FAMILY, name)
    store = policy.store(LAYER)
    assert (store.length, store.traffic()) == (0, Traffic())
    given = store.append(draw(PROMPT, 0), draw(PROMPT, 1))
    assert [each.shape for each in given] == [(1, 1, PROMPT, WIDTH)] * 2
    assert store.select(torch.zeros(1, 1, 1, PROMPT, WIDTH)) is None, (
        "a prompt that comes at once sees all of itself"
    )
    assert store.traffic().written >= policy.held_bytes(PROMPT, HEAD, LAYER) or name in {"sliding", "streaming"}
    for tokens in range(PROMPT + 1, PROMPT + 20):
        store.append(draw(1, tokens), draw(1, -tokens))
        parts = store.select(draw(1, 7)[:, :, None])
        read = store.traffic().read
        assert read == policy.read_bytes(tokens, HEAD, LAYER)
        assert store.length == tokens
        for part in parts or ():
            assert part.keys.shape[:3] == part.values.shape[:3]
            assert part.places.shape[-1] == part.keys.shape[2]
            assert list(part.heads) == [0]
    assert 0 < store.evict() <= store.length
    store.crop(2)
    assert store.length == PROMPT + 17
    with pytest.raises(InputError):
        store.crop(PROMPT + 18)
