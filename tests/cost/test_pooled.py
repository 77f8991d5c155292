"""Exchanges by formula: by hand, and what cannot be."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.cost.pooled import PoolPorts, RingLinks
from shoal.errors import InputError


def test_by_hand() -> None:
    ring = RingLinks(link_bytes_per_s=100.0, hop_s=1.0)
    assert ring.all_gather_s(400, 4) == 3 * (1 + 1)
    assert ring.all_reduce_s(400, 4) == 12
    assert ring.all_to_all_s(400, 4) == (300 + 200 + 100) / 100 + 3
    ports = PoolPorts(write_bytes_per_s=100.0, read_bytes_per_s=200.0, access_s=0.5, chunk_bytes=inf)
    assert ports.all_reduce_s(400, 4) == ports.all_reduce_s(400, 99) == 0.5 + 4 + 2
    assert ports.all_to_all_s(400, 4) == ports.all_reduce_s(400, 4)
    assert ports.all_gather_s(400, 4) == 0.5 + 1 + 2
    assert ports.reduce_scatter_s(400, 4) == 0.5 + 4 + 0.5
    assert PoolPorts(100.0, 200.0, 0.5, chunk_bytes=100).all_reduce_s(400, 4) == 0.5 + 4 + 0.5


@given(written=st.floats(1, 1e3), read=st.floats(1, 1e3), chunks=st.integers(1, 20))
def test_chunks_overlap_like_two_machines_one_behind_the_other(written: float, read: float, chunks: int) -> None:
    done = read_s = 0.0
    for _ in range(chunks):
        done += 400 / written / chunks
        read_s = max(done, read_s) + 400 / read / chunks
    assert PoolPorts(written, read, 0.0, 400 / chunks).all_reduce_s(400, 4) == pytest.approx(read_s)


def test_both_ends_of_the_published_gain_follow_from_steps_and_ports() -> None:
    ring, ports = RingLinks(), PoolPorts()
    gains = [ring.all_reduce_s(size, 8) / ports.all_reduce_s(size, 8) for size in (1e3, 1e12)]
    assert gains == [
        pytest.approx(14 * 1e-6 / 0.2e-6, rel=0.01),
        pytest.approx((14 / 8 / 450e9) / (1 / 4e12), rel=0.01),
    ]


def test_one_device_exchanges_nothing_in_a_ring() -> None:
    assert RingLinks().all_reduce_s(1e9, 1) == 0


def test_links_without_a_rate_are_refused() -> None:
    with pytest.raises(InputError, match="a rate above zero"):
        RingLinks(link_bytes_per_s=0)
    with pytest.raises(InputError, match="a rate above zero"):
        PoolPorts(access_s=-1)
    with pytest.raises(InputError, match="a chunk is above zero"):
        PoolPorts(chunk_bytes=0)
