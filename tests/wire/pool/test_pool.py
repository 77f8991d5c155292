"""A pool's server in a process of its own: what numpy gives, the same bits again, an end when one is lost."""

from __future__ import annotations

import functools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from shoal.errors import InputError, WireError, WorkerDied
from shoal.wire.pool import Absent, Exchanges, Layout, Port, Shared, exchange_layout, pooled

Answer = TypeVar("Answer")
LARGE = 150_001  # numbers: several stripes, and several chunks of the smaller kind


@contextmanager
def ports(layout: Layout, patience_s: float = 10.0) -> Iterator[list[Port]]:
    """All ports of a pool that runs in a process of its own."""
    with pooled(layout) as path, ExitStack() as stack, ThreadPoolExecutor(layout.ports) as pool:
        coming = [pool.submit(Port, path, number, patience_s) for number in range(layout.ports)]
        yield [stack.enter_context(each.result(20)) for each in coming]


def together(found: list[Port], what: Callable[[Port], Answer]) -> list[Answer]:
    with ThreadPoolExecutor(len(found)) as pool:
        return [each.result(20) for each in [pool.submit(what, port) for port in found]]


def arrays(count: int, size: int) -> list[np.ndarray[Any, np.dtype[np.float32]]]:
    return list(np.random.default_rng(size).standard_normal((count, size)).astype(np.float32))


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize(("chunk_kb", "at_once"), [(64, 2), (64, 3), (4096, 1)])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_exchanges_are_those_of_numpy(count: int, chunk_kb: int, at_once: int, ordered: bool) -> None:
    cuts = {size: np.linspace(0, size, count + 1).astype(int).tolist() for size in (1, 1001, LARGE)}
    given = {size: arrays(count, size) for size in cuts}

    def work(port: Port) -> bool:
        pool, own = Exchanges(port), port.number
        for size, parts in cuts.items():
            all_, mine = given[size], slice(parts[own], parts[own + 1])
            in_order, exact = functools.reduce(np.add, all_), np.sum(all_, axis=0, dtype=np.float64)
            one, part = all_[own].copy(), all_[own].copy()
            pool.all_reduce(one)
            np.testing.assert_allclose(one, exact, atol=1e-5)
            assert not ordered or np.array_equal(one, in_order)
            pool.reduce_scatter(part, parts)
            np.testing.assert_allclose(part[mine], exact[mine], atol=1e-5)
            whole = np.full(size, np.nan, np.float32)
            whole[mine] = all_[own][mine]
            pool.all_gather(whole, parts)
            wanted = np.concatenate([each[a:b] for each, a, b in zip(all_, parts, parts[1:], strict=False)])
            np.testing.assert_array_equal(whole, wanted)
            crossed = np.repeat(np.arange(count), size) + 100 * own
            pool.all_to_all(crossed)
            np.testing.assert_array_equal(crossed, np.repeat(100 * np.arange(count), size) + own)
            told = all_[own].copy()
            pool.broadcast(told, count - 1)
            np.testing.assert_array_equal(told, all_[-1])
        return True

    with ports(exchange_layout(count, chunk_kb << 10, at_once=at_once, ordered=ordered)) as found:
        assert together(found, work) == [True] * count


def test_no_addition_is_lost_where_all_write_at_once() -> None:
    """As they come, many times over: small whole numbers have one sum in any order."""
    with ports(exchange_layout(4, 64 << 10, ordered=False)) as found:

        def work(port: Port) -> bool:
            pool = Exchanges(port)
            for number in range(8):
                array = np.full(LARGE, number + port.number, np.float32)
                pool.all_reduce(array)
                if not (array == 4 * number + 6).all():
                    return False
            return True

        assert together(found, work) == [True] * 4


def test_a_writer_that_does_not_come_is_named() -> None:
    with ports(exchange_layout(3, 4096), patience_s=0.2) as found:
        begun_s = time.monotonic()

        def work(port: Port) -> str:
            if port.number == 1:
                return ""
            with pytest.raises(Absent) as fault:
                Exchanges(port).all_reduce(np.zeros(4, np.float32))
            assert (fault.value.ports, fault.value.left) == ({1}, False)
            return fault.value.message

        said = "'sum/0': not written in 0.2 s: port 1"
        assert together(found, work) == [said, "", said]
        assert time.monotonic() - begun_s < 5


def test_a_writer_that_leaves_ends_the_waiting_at_once() -> None:
    with ports(exchange_layout(2, 4096), patience_s=60) as found:
        threading.Timer(0.1, found[1].close).start()
        with pytest.raises(Absent, match="'sum/0': left before they wrote: port 1"):
            Exchanges(found[0]).all_reduce(np.zeros(4, np.float32))


def test_two_writers_are_refused_where_nothing_is_added_and_the_first_ones_bytes_stay() -> None:
    page = np.arange(8, dtype=np.float32)
    with ports(Layout(2, (Shared("page", 4096, adds=False),), 4096)) as (one, other):
        one.write(0, 0, page, 0, page.nbytes)
        one.wait(0, 0, 0b01)
        other.write(0, 0, -page, 0, page.nbytes)
        with pytest.raises(WireError, match=r"port 1 in 'page': bytes 0 to 32 are port 0's already"):
            other.wait(0, 0, 0b11)
        np.testing.assert_array_equal(one.view(0, page.dtype, 0, page.nbytes), page)


def test_what_is_too_large_is_refused_before_it_is_written() -> None:
    with ports(exchange_layout(1, 4096, at_once=1)) as (port,):
        with pytest.raises(InputError, match=r"does not know such numbers .*had <f2"):
            port.write(0, 0, np.zeros(4, np.float16), 0, 8)
        with pytest.raises(WireError, match=r"more than the port holds \(needed 8192 bytes, had 4096\)"):
            port.write(0, 0, np.zeros(2048, np.float32), 0, 8192)
        with pytest.raises(ValueError, match="read-only"):
            port.view(0, np.dtype(np.float32), 0, 64)[:] = 1


def test_a_server_that_ends_ends_the_waiting() -> None:
    layout = exchange_layout(2, 4096)
    with ports(layout, patience_s=30) as found:
        credentials = found[0]._end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        threading.Timer(0.1, os.kill, (int.from_bytes(credentials[:4], "little"), signal.SIGKILL)).start()
        with pytest.raises(WorkerDied, match="the pool"):
            Exchanges(found[0]).all_reduce(np.zeros(4, np.float32))


def test_nobody_listens_and_taken_ports(tmp_path: Path) -> None:
    with pytest.raises(WireError, match="cannot join the pool"):
        Port(tmp_path / "nowhere", 0)
    with pooled(exchange_layout(1, 4096)) as path, Port(path, 0):
        pass
    with pooled(exchange_layout(2, 4096)) as path, ThreadPoolExecutor(2) as pool:
        first = pool.submit(Port, path, 0)
        with pytest.raises(WireError, match="no such port, or it is taken"):
            Port(path, 7)
        with Port(path, 1), first.result(10):
            pass


@pytest.mark.parametrize("junk", [b"x", b"\xff" * 64 * 3])
def test_nonsense_is_answered_with_a_fault_and_others_go_on(junk: bytes) -> None:
    with ports(exchange_layout(2, 4096)) as (one, other):
        one._end.send(junk)
        with pytest.raises(WireError, match=r"no message of a pool|no such tensor"):
            one.wait(0, 0, 0b11)

        def work(port: Port) -> float:
            array = np.ones(4, np.float32)
            Exchanges(port).all_reduce(array)
            return float(array.sum())

        assert together([one, other], work) == [8, 8]


def test_a_chunk_is_read_before_all_is_written() -> None:
    chunk = 16384
    array = np.ones(4 * chunk, np.float32)
    with ports(exchange_layout(2, 4 * chunk)) as (one, other), ThreadPoolExecutor(1) as thread:
        reading = thread.submit(Exchanges(one).all_reduce, array)
        other.write(0, 0, np.ones(chunk, np.float32), 0, 4 * chunk)
        other.wait(0, 0, 0b11)  # both have written their first chunk, and this one nothing else
        other.close()
        with pytest.raises(Absent, match="'sum/1': left before they wrote: port 1"):
            reading.result(20)
    np.testing.assert_array_equal(array, np.repeat([2, 1, 1, 1], chunk))


def test_where_ports_come_in_is_gone_once_all_have_come() -> None:
    with pooled(exchange_layout(2, 4096)) as path, Port(path, 0):
        assert path.exists()
        with Port(path, 1) as last:
            last.write(0, 0, np.zeros(1, np.float32), 0, 4)
            last.wait(0, 0, 0b10)  # it has gone on since
            assert not path.parent.exists()
