"""Chains that may be launched as one: what scores, what may not overlap, where they stop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import InputError
from shoal.measure.trace import best, fusions, proximity

LAYER = ["norm", "mm", "softmax", "mm", "add"]


def test_repeated_layers_give_chains_as_long_as_a_layer() -> None:
    names = ["embed", *LAYER * 4, "head"]
    found = {each.length: each for each in fusions(names, lengths=(2, 5, 8))}
    assert [(chain.names[0], len(chain.starts)) for chain in found[5].chains] == [("norm", 4)]
    assert found[5].kernels_left == 22 - 4 * 4
    assert found[5].ideal_speedup == 22 / 6
    assert found[8].chains == ()
    assert best(tuple(found.values())) == found[5]
    assert proximity(names, LAYER) == 1
    assert proximity(names, ["mm", "add"]) == 0.5


def test_no_chain_reaches_across_a_stop() -> None:
    names = [*LAYER * 3]
    assert fusions(names, stops=(7,), lengths=(5,))[0].chains == ()
    assert fusions(names, stops=(5, 10), lengths=(5,))[0].fused == 3


@given(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=60), st.sets(st.integers(1, 59), max_size=3))
def test_all_that_is_fused_always_follows_and_nothing_is_fused_twice(names: list[str], stops: set[int]) -> None:
    for found in fusions(names, stops, (2, 3, 5)):
        taken = [
            at for chain in found.chains for start in chain.starts for at in range(start, start + found.length)
        ]
        assert len(taken) == len(set(taken))
        for chain in found.chains:
            assert proximity(names, chain.names) == 1
            for start in chain.starts:
                assert tuple(names[start : start + found.length]) == chain.names
                assert not any(start < stop < start + found.length for stop in stops)
        groups = found.groups()
        assert [at for group in groups for at in group] == list(range(len(names)))
        assert len(groups) == found.kernels_left


def test_nothing_is_refused() -> None:
    with pytest.raises(InputError):
        fusions([])
    with pytest.raises(InputError):
        fusions(["a", "b"], lengths=(1,))
    with pytest.raises(InputError):
        best(())
