"""The header: what is packed comes back, and nothing else gets in."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import WireError
from shoal.program import CLIENT, HEADER_BYTES, PROTOCOL, Edge, Flag, Header, Program, Route, TensorSpec
from shoal.program.message import CONTROL_EDGE, DTYPES, MAX_CONTROL_BYTES, MAX_RANK, pack, unpack

BOUNDS = ((), (4,), ("n", 3), (2, 3, 4, 5), (1,) * MAX_RANK)
SPECS = [TensorSpec(dtype, BOUNDS[index % len(BOUNDS)]) for index, dtype in enumerate(DTYPES)]
EDGES = tuple(Edge(f"e{i}", CLIENT, "a", "x", "x", spec, 4) for i, spec in enumerate(SPECS))
ROUTES = (Route("main", (), (), ()), Route("other", (), (), ()))
PROGRAM = Program("p", ("a",), EDGES, (), ROUTES, 4, {}, sizes={"n": 9})


@st.composite
def headers(draw: st.DrawFn) -> Header:
    """Any header that PROGRAM allows."""
    kind = draw(st.sampled_from(["tensor", "empty", "control"]))
    index = draw(st.integers(0, len(EDGES) - 1))
    header = Header(
        index,
        item=draw(st.integers(0, 2**63 - 1)),
        route=draw(st.integers(0, 1)),
        entry=draw(st.integers(0, 2**16 - 1)),
        session=draw(st.integers(-1, 2**63 - 1)),
        epoch=draw(st.integers(0, 2**32 - 1)),
        flags=draw(st.sampled_from([Flag(0), Flag.LAST])),
        time_s=draw(st.floats(allow_nan=False, allow_infinity=False)),
    )
    if kind == "control":
        size = draw(st.integers(0, MAX_CONTROL_BYTES))
        return replace(
            header, edge=CONTROL_EDGE, flags=header.flags | Flag.CONTROL, shape=(size,), payload_bytes=size
        )
    if kind == "empty":
        return replace(header, flags=header.flags | Flag.EMPTY)
    spec = EDGES[index].spec
    shape = tuple(draw(st.integers(0, bound)) for bound in spec.bound(PROGRAM.sizes))
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(spec.dtype).itemsize
    return replace(header, dtype=spec.dtype, shape=shape, payload_bytes=size)


def packed(header: Header) -> bytes:
    return pack(header, PROGRAM.hash, PROTOCOL)


@given(headers())
def test_a_header_comes_back_as_it_was(header: Header) -> None:
    data = packed(header)
    assert len(data) == HEADER_BYTES
    assert unpack(data, PROGRAM, "a") == header
    assert unpack(memoryview(data), PROGRAM, "a") == header


@given(st.binary(min_size=HEADER_BYTES, max_size=HEADER_BYTES))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(WireError):
        unpack(data, PROGRAM, "a")


@given(headers(), st.data())
def test_a_damaged_header_is_refused_or_still_within_the_program(header: Header, data: st.DataObject) -> None:
    broken = bytearray(packed(header))
    for _ in range(data.draw(st.integers(1, 4))):
        # Behind magic, protocol and program hash, which the random bytes above never get past.
        place = data.draw(st.integers(6, HEADER_BYTES - 1).filter(lambda at: not 8 <= at < 24))
        broken[place] = data.draw(st.integers(0, 255))
    try:
        found = unpack(bytes(broken), PROGRAM, "a")
    except WireError:
        return
    assert found.payload_bytes <= MAX_CONTROL_BYTES
    if not (found.control or found.empty):
        spec = EDGES[found.edge].spec
        assert found.dtype == spec.dtype
        assert found.payload_bytes <= spec.bytes(PROGRAM.sizes)


GOOD = Header(1, 0, dtype=DTYPES[1], shape=(4,), payload_bytes=8)
FAULTS = {
    "route 2": replace(GOOD, route=2),
    "item -1": replace(GOOD, item=-1),
    "time nan": replace(GOOD, time_s=float("nan")),
    "edge 99": replace(GOOD, edge=99),
    "does not allow": replace(GOOD, shape=(5,), payload_bytes=10),
    "needed float16": replace(GOOD, dtype="float32", payload_bytes=16),
    "wrong length": replace(GOOD, payload_bytes=9),
    "too long": Header(CONTROL_EDGE, flags=Flag.CONTROL, payload_bytes=MAX_CONTROL_BYTES + 1),
}


@pytest.mark.parametrize("why", FAULTS)
def test_what_the_program_does_not_allow_is_named(why: str) -> None:
    with pytest.raises(WireError, match=why) as caught:
        unpack(packed(FAULTS[why]), PROGRAM, "some unit")
    assert caught.value.where == "some unit"


def test_an_empty_message_has_no_payload() -> None:
    with pytest.raises(WireError, match="wrong length"):
        unpack(packed(replace(GOOD, flags=Flag.EMPTY)), PROGRAM, "a")


def test_another_magic_protocol_program_or_rank_is_refused() -> None:
    good = packed(GOOD)
    with pytest.raises(WireError, match="not a shoal message"):
        unpack(b"HTTP" + good[4:], PROGRAM, "a")
    with pytest.raises(WireError, match="another protocol"):
        unpack(good[:4] + struct.pack("<H", PROTOCOL + 1) + good[6:], PROGRAM, "a")
    with pytest.raises(WireError, match="another program"):
        unpack(good, replace(PROGRAM, epoch=1), "a")
    with pytest.raises(WireError, match="rank 9"):
        unpack(good[:53] + b"\x09" + good[54:], PROGRAM, "a")
