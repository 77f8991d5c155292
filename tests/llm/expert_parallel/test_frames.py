"""Frames go there and back whatever the socket takes at once; what is no frame is refused before memory is taken."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from shoal.errors import WireError
from shoal.llm.expert_parallel.frames import DTYPES, ENTRY, HEAD, MAGIC, Array, Frame, Gone, Line, swap

ARRAYS = st.lists(
    st.sampled_from(DTYPES).flatmap(lambda kind: arrays(kind, array_shapes(min_dims=0, max_dims=3, min_side=0))),
    max_size=4,
)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


@given(ARRAYS, ARRAYS)
@settings(max_examples=40, deadline=None)
def test_frames_arrive_as_they_were(one: list[Array], other: list[Array]) -> None:
    left, right = socket.socketpair()
    with left, right:
        first, second = Line(1, left), Line(0, right)
        for frame in (Frame(3, tuple(one)), Frame(4, tuple(other))):
            first.put(frame)
            while first.busy:
                first.write()
            assert_same(second.read(), frame)
        assert first.sent_bytes == Frame(0, tuple(one)).bytes + Frame(0, tuple(other)).bytes
        assert second.read() is None


def test_large_frames_cross_without_waiting_for_each_other(ends: tuple[socket.socket, socket.socket]) -> None:
    big = Frame(1, (np.arange(1 << 20, dtype=np.int32),))  # far more than a socket keeps
    with ThreadPoolExecutor(2) as both:
        found = [
            both.submit(swap, {0: Line(0, end)}, {0: big, }, [0], 10.0) for end in ends
        ]  # fmt: skip
    for each in found:
        assert_same(each.result()[0], big)


def test_what_is_no_frame_is_refused(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[0].sendall(HEAD.pack(b"HTTP", 1, 1) + bytes(64))
    with pytest.raises(WireError, match="party 0: what comes is no frame"):
        Line(0, ends[1]).read()


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (ENTRY.pack(0, 3, 1 << 40, 1 << 40, 1 << 40), "too large"),
        (ENTRY.pack(0, 1, 300, 0, 0), "too large .needed 1000 bytes at most, had 1200"),
        (ENTRY.pack(9, 1, 1, 0, 0), "no array"),
        (ENTRY.pack(0, 4, 1, 1, 1), "no array"),
    ],
)
def test_sizes_are_checked_before_memory_is_taken(
    ends: tuple[socket.socket, socket.socket], entry: bytes, said: str
) -> None:
    ends[0].sendall(HEAD.pack(MAGIC, 1, 1) + entry)
    with pytest.raises(WireError, match=said):
        Line(0, ends[1], most_bytes=1000).read()


def test_who_leaves_or_says_nothing_is_named(ends: tuple[socket.socket, socket.socket]) -> None:
    line = Line(7, ends[1])
    with pytest.raises(Gone, match=r"party 7 said nothing for 0.05 s"):
        swap({7: line}, {}, [7], 0.05)
    ends[0].close()
    with pytest.raises(Gone, match="party 7 left") as fault:
        swap({7: line}, {}, [7], 5.0)
    assert fault.value.parties == {7}
    with pytest.raises(Gone, match="party 7 left"):
        swap({7: line}, {7: Frame(1, ())}, [], 5.0)


def assert_same(found: Frame | None, wanted: Frame) -> None:
    assert found is not None
    assert found.kind == wanted.kind
    for one, other in zip(found.arrays, wanted.arrays, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
