"""Records of another process are those of its file; whatever happens on the way is an error in time, and nothing is lost."""

from __future__ import annotations

import mmap
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shoal import catalog, codec
from shoal.errors import InputError, LimitError, ModelError, WireError
from shoal.store import PAGE, POLICIES, FileTier, Key, MemoryTier, TensorStore, Tier, _line, offer, write_file
from shoal.store._line import ANSWER, ASK, Kind
from shoal.store.file import MOST_INDEX, Index
from shoal.store.offer import Offer
from shoal.store.remote import RemoteTier
from shoal.store.values import Arrays
from tests.pond import member
from tests.store.ways import Spoil, Way, cut_after, flipped, way, worker

SOURCE = np.random.default_rng(7)
LARGE, SMALL = Key(1, 2), Key(0)
ARRAYS: dict[Key, Arrays] = {
    SMALL: {"w": SOURCE.standard_normal((3, 5)).astype(np.float32)},
    LARGE: {"w": SOURCE.integers(0, 255, 40 * PAGE, np.uint8), "b": np.arange(3, dtype=np.int8)},
}
SOON_S = 0.3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_file(ARRAYS.items(), tmp_path / "weights.store", about='{"of":"a test"}')
    return tmp_path / "weights.store"


@pytest.fixture
def remote() -> Iterator[Callable[..., RemoteTier]]:
    """Opens tiers, and closes them in the end."""
    with ExitStack() as stack:
        yield lambda *given, **named: stack.enter_context(closing(RemoteTier(*given, **named)))


@contextmanager
def offered(tier: Tier, listen: str = "", over: str = "tcp") -> Iterator[str]:
    with Offer(tier, over, listen) as found:
        yield found.address


@pytest.fixture
def lines(path: Path) -> Iterator[tuple[Way, RemoteTier]]:
    """A tier, and the way to it that can be spoiled."""
    with offered(FileTier(path)) as address, way(address) as found:
        tier = RemoteTier(found.address, patience_s=SOON_S)
        yield found, tier
        tier.close()


def held_of(tier: Tier, key: Key) -> memoryview:
    held = memoryview(mmap.mmap(-1, tier.records[key].bytes))
    tier.read(key, held)
    return held


def check(tier: Tier, key: Key) -> None:
    found = tier.records[key].views(held_of(tier, key))
    assert list(found) == list(ARRAYS[key])
    for name, array in ARRAYS[key].items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_a_real_workers_records_are_those_of_its_file(path: Path, remote: Callable[..., RemoteTier]) -> None:
    with worker(path) as (_, address):
        tier, file = remote(address), FileTier(path)
        assert tier.records == file.records
        assert tier.figures.size_bytes == file.figures.size_bytes == 42 * PAGE
        assert tier.about == file.about == '{"of":"a test"}'
        for key in (*ARRAYS, *ARRAYS):
            check(tier, key)
        tier.close()
        check(tier, SMALL)  # who reads after that has a connection of its own


def test_a_store_reads_from_it_and_the_budget_is_looked_at_before_any_record_comes(
    path: Path, remote: Callable[..., RemoteTier]
) -> None:
    with offered(FileTier(path)) as address:
        with TensorStore(remote(address), 42 * PAGE, catalog.make(POLICIES, "lru"), readers=2) as store:
            store.preload([LARGE])
            with store.hold([SMALL, LARGE]) as found:
                for key, arrays in zip((SMALL, LARGE), found, strict=True):
                    np.testing.assert_array_equal(arrays["w"], ARRAYS[key]["w"])
            assert store.told().tier.name == "remote"
        with pytest.raises(LimitError, match="holds not even one record"):
            TensorStore(remote(address), PAGE, catalog.make(POLICIES, "lru"))


class Together(MemoryTier):
    """Gives nothing until three ask at once."""

    barrier = threading.Barrier(3)

    def read(self, key: Key, into: memoryview, offset: int = 0) -> None:
        self.barrier.wait(5)
        super().read(key, into, offset)


def test_several_reads_are_in_flight_at_once(remote: Callable[..., RemoteTier]) -> None:
    with offered(Together(ARRAYS.items())) as address, ThreadPoolExecutor(3) as pool:
        tier = remote(address)
        for _ in range(2):  # the second time over the connections of the first
            list(pool.map(lambda key: check(tier, key), [SMALL, LARGE, LARGE]))
        tier.close()


def test_a_connection_that_breaks_is_made_again(lines: tuple[Way, RemoteTier]) -> None:
    found, tier = lines
    cut = cut_after(20 * PAGE)

    def once(data: bytes) -> bytes | None:
        passed = cut(data)
        if passed is None:
            found.spoil = lambda data: data
        return passed

    found.spoil = once
    check(tier, LARGE)
    assert found.connections == 2


@pytest.mark.parametrize(
    ("make", "kind", "told"),
    [
        (lambda: cut_after(20 * PAGE), WireError, "(ended in the middle of an answer|the connection broke)"),
        (lambda: cut_after(0), WireError, "(ended in the middle of an answer|the connection broke)"),
        (lambda: lambda data: b"", WireError, "says nothing"),
        (lambda: flipped(ANSWER.size + 5 * PAGE), ModelError, "what came is not what was written"),
        (lambda: flipped(3), WireError, "what answers offers no records"),
        (lambda: flipped(ANSWER.size - 1), WireError, "a record of another size"),
        (lambda: flipped(15), WireError, "another store is offered there by now"),
    ],
    ids=["half a record", "at once", "silence", "corrupt", "no answer", "another size", "another index"],
)
def test_what_happens_on_the_way_is_told_in_time_and_the_next_read_is_fine(
    lines: tuple[Way, RemoteTier], make: Callable[[], Spoil], kind: type[Exception], told: str
) -> None:
    found, tier = lines
    found.spoil = make()
    begun_s = time.monotonic()
    with pytest.raises(kind, match=rf"remote at {found.address}, 1/2: .*{told}") as fault:
        check(tier, LARGE)
    assert time.monotonic() - begun_s < 5
    assert type(fault.value) is kind
    found.spoil = lambda data: data
    for key in ARRAYS:
        check(tier, key)


def test_who_sends_byte_by_byte_counts_as_silent(lines: tuple[Way, RemoteTier]) -> None:
    found, tier = lines
    found.trickle_s = 0.01  # 41 s for the record
    begun_s = time.monotonic()
    with pytest.raises(WireError, match=r"0: says nothing .*or too slow"):
        check(tier, SMALL)
    assert time.monotonic() - begun_s < 5


def test_a_damaged_index_is_refused(path: Path, remote: Callable[..., RemoteTier]) -> None:
    with offered(FileTier(path)) as address, way(address) as found:
        found.spoil = flipped(ANSWER.size + 30)
        with pytest.raises(ModelError, match=f"remote at {found.address}: the index came damaged"):
            remote(found.address)


def test_a_worker_that_dies_in_the_middle_of_a_record_and_comes_back(
    path: Path, remote: Callable[..., RemoteTier]
) -> None:
    half = threading.Event()
    with worker(path) as (process, address), way(address) as found:
        tier = remote(found.address, patience_s=5)
        with TensorStore(tier, 42 * PAGE, catalog.make(POLICIES, "lru")) as store:
            cut, stay = cut_after(20 * PAGE), threading.Event()

            def stop(data: bytes) -> bytes | None:
                passed = cut(data)
                if passed is None:
                    half.set()
                    stay.wait(5)
                return passed

            found.spoil = stop

            def ask() -> None:
                with store.hold([LARGE]):
                    raise AssertionError

            with ThreadPoolExecutor(1) as pool:
                asked = pool.submit(ask)
                assert half.wait(5)
                process.kill()
                process.wait()
                stay.set()
                with pytest.raises(WireError, match=rf"remote at {found.address}, 1/2: "):
                    asked.result(10)
            with pytest.raises(WireError, match="1/2"), store.hold([LARGE]):
                pass
            found.spoil = lambda data: data
            with worker(path, "--listen", address), store.hold([SMALL, LARGE]) as (_, arrays):
                np.testing.assert_array_equal(arrays["w"], ARRAYS[LARGE]["w"])


def test_a_worker_that_stands_still_is_given_up_and_read_from_again(
    path: Path, remote: Callable[..., RemoteTier]
) -> None:
    with worker(path) as (process, address):
        tier = remote(address, patience_s=SOON_S)
        process.send_signal(signal.SIGSTOP)
        for key in (LARGE, SMALL):  # over the connection there is, and over a new one
            with pytest.raises(WireError, match=f"remote at {address}, {key}: says nothing .*0.3 s of silence"):
                check(tier, key)
        process.send_signal(signal.SIGCONT)
        check(tier, LARGE)


def test_another_store_at_the_same_address_is_found_out(
    path: Path, tmp_path: Path, remote: Callable[..., RemoteTier]
) -> None:
    other = {**ARRAYS, LARGE: {"w": ARRAYS[LARGE]["w"][::-1], "b": ARRAYS[LARGE]["b"]}}
    with offered(FileTier(path)) as address:
        tier = remote(address)
        check(tier, LARGE)
    with offered(MemoryTier(other.items()), address):
        with pytest.raises(WireError, match="another store is offered there by now") as fault:
            check(tier, LARGE)
        assert fault.value.hint == "open it again"


def test_damage_at_its_source_is_told_as_damage(path: Path, remote: Callable[..., RemoteTier]) -> None:
    with offered(FileTier(path, direct=False)) as address:
        tier = remote(address)
        data = bytearray(path.read_bytes())
        data[tier.records[LARGE].offset] ^= 1
        path.write_bytes(data)
        with pytest.raises(ModelError, match=r"cannot give it: .*weights.store, 1/2: .* is not what was written"):
            check(tier, LARGE)
        check(tier, SMALL)


def answering(*answers: bytes) -> str:
    """Whoever asks gets these, and then nothing more."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, suppress(OSError):
            for _ in range(2):  # who breaks off is asked twice
                listener.settimeout(5)
                sock, _ = listener.accept()
                with sock:
                    for each in answers:
                        sock.recv(ASK.size)
                        sock.sendall(each)

    threading.Thread(target=serve, daemon=True).start()
    return f"127.0.0.1:{listener.getsockname()[1]}"


def indexed(index: Index) -> bytes:
    listed = codec.encode(index)
    return _line.answer(Kind.INDEX, _line.digest(listed), len(listed)) + listed


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (_line.answer(Kind.INDEX, bytes(16), MOST_INDEX + 1), "an index that no store has"),
        (_line.answer(Kind.INDEX, bytes(16), MOST_INDEX) + b"{", "ended in the middle"),
        (indexed(Index(())), "tells of no store"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(ANSWER.size), "offers no records"),
    ],
    ids=["too large", "less than told", "empty", "something else"],
)
def test_what_is_no_index_is_refused_before_memory_is_taken(
    answer: bytes, told: str, remote: Callable[..., RemoteTier]
) -> None:
    address = answering(answer)
    with pytest.raises(WireError, match=told):
        remote(address, patience_s=1)


def test_a_record_larger_than_told_is_not_taken(remote: Callable[..., RemoteTier]) -> None:
    records = MemoryTier(ARRAYS.items()).records
    listed = indexed(Index(tuple(records.values())))
    name = listed[len(_line.MAGIC) + 1 :][:16]
    address = answering(listed, _line.answer(Kind.RECORD, name, records[SMALL].bytes + PAGE) + bytes(9 * PAGE))
    tier = remote(address, patience_s=1)
    with pytest.raises(WireError, match="a record of another size") as fault:
        held_of(tier, SMALL)
    assert (fault.value.needed, fault.value.had) == (f"{PAGE} bytes", f"{2 * PAGE}")


@given(st.binary(min_size=ANSWER.size, max_size=ANSWER.size))
@example(_line.answer(Kind.RECORD, bytes(16), 1 << 63))
def test_any_bytes_are_an_answer_or_refused(data: bytes) -> None:
    try:
        found = _line.answered(data)
    except WireError:
        return
    assert _line.answer(*found) == data


@given(st.binary(min_size=ASK.size, max_size=ASK.size))
@example(_line.ask(Kind.INDEX, Key(-1, 1 << 62)))
def test_any_bytes_are_an_ask_or_refused(data: bytes) -> None:
    try:
        found = _line.asked(data)
    except WireError:
        return
    assert _line.ask(*found) == data


def test_nobody_there_and_no_address(remote: Callable[..., RemoteTier]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(WireError, match=f"remote at {address}: cannot be reached: Connection refused"):
        remote(address)
    with pytest.raises(InputError, match="is not an address"):
        remote("nowhere")
    with pytest.raises(InputError, match="read over TCP"):
        remote(address, "memory")


def test_who_asks_for_nonsense_is_left_and_others_are_answered(
    path: Path, remote: Callable[..., RemoteTier]
) -> None:
    with offered(FileTier(path)) as address:
        host, _, port = address.rpartition(":")
        for nonsense in (b"GET / HTTP/1.1\r\n" + bytes(ASK.size), ASK.pack(_line.MAGIC, 9, 0, 0, 0)):
            with socket.create_connection((host, int(port)), 5) as sock:
                sock.sendall(nonsense[: ASK.size])
                assert sock.recv(1) == b""
        with socket.create_connection((host, int(port)), 5) as sock:
            sock.sendall(_line.ask(Kind.RECORD, Key(9, 9)))
            kind, _, size = _line.answered(sock.recv(ANSWER.size, socket.MSG_WAITALL))
            assert (kind, sock.recv(size)) == (Kind.FAILED, b"nothing is stored under this key")
        check(remote(address), LARGE)


def test_no_more_callers_than_there_is_memory_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, remote: Callable[..., RemoteTier]
) -> None:
    monkeypatch.setattr(offer, "MOST_CALLERS", 1)
    with offered(FileTier(path)) as address:
        tier = remote(address)
        with pytest.raises(WireError, match=f"remote at {address}: "):
            remote(address)
        check(tier, LARGE)


def test_a_fleet_reads_encrypted_and_strangers_do_not(path: Path, remote: Callable[..., RemoteTier]) -> None:
    def own(name: str, fleet: str = "pond") -> str:
        return f"tcp:identity={member(name, fleet=fleet)}"

    with offered(FileTier(path), over=own("pi")) as address:
        tier = remote(address, own("nano"))
        check(tier, LARGE)
        tier.close()
        for over in (own("stranger", "lake"), "tcp"):
            with pytest.raises(WireError, match=f"remote at {address}: "):
                remote(address, over, patience_s=2)
    with pytest.raises(InputError, match="lies beyond this host"):
        Offer(FileTier(path), listen="0.0.0.0:0")
