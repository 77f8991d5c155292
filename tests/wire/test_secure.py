"""TLS between parties: who gets in, what both sides hear when not, and that two threads may use one connection."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import InputError, WireError
from shoal.identity import contexts, load
from shoal.program import CLIENT
from shoal.wire import Endpoint
from shoal.wire.secure import CHUNK_BYTES, TlsSocket
from shoal.wire.transports.tcp import Tcp
from tests.contracts.test_transports import A, Announced, copied, filled, header, program
from tests.pond import identity_of, member, pond

WHAT = program((CLIENT, A))
LEAD = member("desk", "coordinator")


@contextmanager
def worker(folder: Path | None, listen: str = "", unit: str = A) -> Iterator[tuple[str, Future[Endpoint]]]:
    """A unit that waits for its client: its address, and its endpoint to come."""
    transport = Tcp(identity=str(folder) if folder else "", wait_s=10)
    announced = Announced()
    with ThreadPoolExecutor(1) as pool:
        end = pool.submit(transport.worker, unit, WHAT, listen, announced.by(unit))
        address = announced.wait(1)[unit]
        yield address, end
        if not end.done():
            meet(
                identity_of(CLIENT) if folder else None, address, timeout_s=10
            ).close()  # the right one still gets in
        end.result(10).close()


def meet(folder: Path | None, address: str, timeout_s: float = 10) -> Endpoint:
    endpoint: Endpoint = Tcp(identity=str(folder) if folder else "").client(WHAT, {A: address})
    return endpoint


def logged(caplog: pytest.LogCaptureFixture, why: str) -> bool:
    """Whether a refusal with that reason is logged within a second."""
    until_s = time.monotonic() + 1
    while time.monotonic() < until_s:
        if any("refused a connection" in text and re.search(why, text) for text in caplog.messages):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.parametrize(
    ("caller", "here", "there"),
    [
        (member("desk", "coordinator", "lake"), "does not know the authority", "not from our fleet's authority"),
        (member("nano"), "may not be 'client' .*needed a coordinator, had device 'nano'", "may not be 'client'"),
        (None, "does not speak TLS", "ended the handshake"),
    ],
)
def test_who_may_not_be_the_client_hears_why_and_so_does_the_worker(
    caller: Path | None, here: str, there: str, caplog: pytest.LogCaptureFixture
) -> None:
    with worker(member("a")) as (address, end):
        with pytest.raises(WireError, match=there) as caught:
            meet(caller, address)
        # Of two fleets' parties the one that called finds the other's certificate foreign first.
        assert logged(caplog, here), caplog.messages
        assert caught.value.where == A
        assert not end.done()


def refused_on_both_sides(caller: Path, address: str) -> str:
    with pytest.raises(WireError) as caught:
        meet(caller, address)
    return caught.value.message


def test_a_revoked_coordinator_is_refused(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    fleet, board = pond("bay"), member("a", fleet="bay")
    gone = fleet.identity(tmp_path / "gone", "gone", "coordinator").folder
    fleet.revoke("gone")
    with worker_of_bay(board) as address:
        assert "its certificate was revoked" in refused_on_both_sides(gone, address)
        assert logged(caplog, "gone: its certificate was revoked")


@contextmanager
def worker_of_bay(board: Path) -> Iterator[str]:
    with ThreadPoolExecutor(1) as pool:
        announced = Announced()
        end = pool.submit(Tcp(identity=str(board), wait_s=10).worker, A, WHAT, "", announced.by(A))
        yield announced.wait(1)[A]
        meet(member("desk", "coordinator", "bay"), announced.addresses[A]).close()
        end.result(10).close()


def test_a_revoked_device_is_refused_by_its_client(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fleet = pond("cove")
    lead = member("desk", "coordinator", "cove")
    old = fleet.identity(tmp_path / "old", "a", "device").folder
    fleet.revoke("a")
    (old / "revoked.json").unlink()
    transport, announced = Tcp(identity=str(old), wait_s=1), Announced()
    with ThreadPoolExecutor(1) as pool:
        end = pool.submit(transport.worker, A, WHAT, "", announced.by(A))
        with pytest.raises(WireError, match="a: its certificate was revoked"):
            meet(lead, announced.wait(1)[A])
        with pytest.raises(WireError):
            end.result(10)


def test_an_expired_certificate_says_so_on_both_sides(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    soon = pond().identity(tmp_path / "soon", "soon", "coordinator", valid_days=2 / 86400)
    context, board = contexts.client(soon), member("a")
    with worker(board) as (address, _):
        time.sleep(2.1)
        with pytest.raises(InputError, match="has expired"):
            meet(soon.folder, address)  # it does not even try
        caller = TlsSocket(dial(address), context, soon, called=False)
        caller.settimeout(5)
        caller.shake()
        with pytest.raises(WireError, match=r"says our certificate has expired .* by this machine's clock"):
            caller.recv(1)
        caller.close()
        assert logged(caplog, "its certificate has expired .* by this machine's clock")


def dial(address: str) -> socket.socket:
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=5)


def test_a_certificate_of_the_future_names_the_clocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import datetime

    real = datetime.datetime.now(datetime.UTC)
    fleet = pond("bight")
    board, lead = member("a", fleet="bight"), member("desk", "coordinator", "bight")
    monkeypatch.setattr("shoal.identity._x509.now", lambda: real + datetime.timedelta(hours=7))
    early = fleet.identity(tmp_path / "early", "early", "coordinator")
    context = contexts.client(early)
    monkeypatch.undo()
    with pytest.raises(InputError, match="not valid yet"):
        load(early.folder)
    transport, announced = Tcp(identity=str(board), wait_s=10), Announced()
    with ThreadPoolExecutor(1) as pool:
        end = pool.submit(transport.worker, A, WHAT, "", announced.by(A))
        address = announced.wait(1)[A]
        caller = TlsSocket(dial(address), context, early, called=False)
        caller.settimeout(5)
        caller.shake()
        with pytest.raises(WireError, match="not valid, or not yet") as caught:
            caller.recv(1)
        assert "clocks" in (caught.value.hint or "")
        caller.close()
        assert logged(caplog, "not valid yet")
        meet(lead, address).close()
        end.result(10).close()


def test_a_device_may_only_be_its_own_units(caplog: pytest.LogCaptureFixture) -> None:
    with ThreadPoolExecutor(1) as pool:
        announced = Announced()
        end = pool.submit(Tcp(identity=str(member("b")), wait_s=1).worker, A, WHAT, "", announced.by(A))
        with pytest.raises(WireError, match=r"b: may not be 'a/cpu' \(needed device 'a', had device 'b'\)"):
            meet(LEAD, announced.wait(1)[A])
        with pytest.raises(WireError, match="not everyone"):
            end.result(10)
    assert logged(caplog, "refused the connection: b: may not be 'a/cpu'")


def test_a_coordinator_is_no_device() -> None:
    with ThreadPoolExecutor(1) as pool:
        announced = Announced()
        end = pool.submit(Tcp(identity=str(LEAD), wait_s=1).worker, A, WHAT, "", announced.by(A))
        with pytest.raises(WireError, match=r"needed device 'a', had coordinator 'desk'"):
            meet(LEAD, announced.wait(1)[A])
        with pytest.raises(WireError, match="not everyone"):
            end.result(10)


def test_one_side_without_an_identity_says_what_to_do(caplog: pytest.LogCaptureFixture) -> None:
    with worker(None) as (address, _):
        with pytest.raises(WireError, match="ended the handshake") as caught:
            meet(LEAD, address)
        assert "identity" in (caught.value.hint or "")
        assert logged(caplog, "speaks TLS, and this side has no identity")


def test_a_stalling_stranger_holds_nobody_up() -> None:
    with worker(member("a")) as (address, end):
        silent = [dial(address) for _ in range(3)]
        silent[1].sendall(b"\x16\x03\x01\x02\x00")  # the beginning of a handshake
        began_s = time.monotonic()
        client = meet(LEAD, address)
        client.send(header(filled(1, 4)), filled(1, 4))
        assert copied(end.result(5)).tolist() == [1] * 4
        assert time.monotonic() - began_s < 2
        client.close()
        for sock in silent:
            sock.close()


def test_beyond_this_host_with_an_identity() -> None:
    with worker(member("a"), listen="0.0.0.0:0") as (address, end):
        assert re.fullmatch(r"0\.0\.0\.0:[1-9]\d*", address)
        client = meet(LEAD, address.replace("0.0.0.0", "127.0.0.1"))
        client.close()
        end.result(5)


def test_no_identity_is_an_error_before_anything_else(tmp_path: Path) -> None:
    for use in (lambda end: end.client(WHAT, {A: "127.0.0.1:1"}), lambda end: end.worker(A, WHAT, "", print)):
        with pytest.raises(InputError, match=r"certificate.pem: cannot read"):
            use(catalog.make("wire/transports", f"tcp:identity={tmp_path}"))


def test_nothing_is_readable_on_the_way() -> None:
    """What passes through a relay between the two is not what was sent."""
    seen = bytearray()
    secret = np.frombuffer(b"what nobody else", np.float32)
    with worker(member("a")) as (address, end), socket.create_server(("127.0.0.1", 0)) as door:

        def relay() -> None:
            near, _ = door.accept()
            far = dial(address)
            ways = [threading.Thread(target=carry, args=way) for way in ((near, far), (far, near))]
            for way in ways:
                way.start()
            for way in ways:
                way.join()
            near.close()
            far.close()

        def carry(source: socket.socket, target: socket.socket) -> None:
            source.settimeout(10)
            while data := source.recv(1 << 16):
                seen.extend(data)
                target.sendall(data)
            with suppress(OSError):
                target.shutdown(socket.SHUT_WR)

        relaying = threading.Thread(target=relay)
        relaying.start()
        client = meet(LEAD, f"127.0.0.1:{door.getsockname()[1]}")
        client.send(header(secret), secret)
        assert copied(end.result(5)).tobytes() == secret.tobytes()
        client.close()
        end.result(5).close()
        relaying.join(10)
    assert len(seen) > 1000
    assert secret.tobytes() not in seen
    assert b"SHOL" not in seen


@contextmanager
def pair() -> Iterator[tuple[TlsSocket, TlsSocket]]:
    """Two ends of a connection, shaken."""
    one, two = socket.socketpair()
    near, far = load(LEAD), load(member("a"))
    caller = TlsSocket(one, contexts.client(near), near, called=False)
    called = TlsSocket(two, contexts.server(far), far, called=True)
    with ThreadPoolExecutor(1) as pool:
        shaking = pool.submit(called.shake)
        caller.shake()
        shaking.result(5)
    try:
        yield caller, called
    finally:
        caller.close()
        called.close()


def test_both_ends_read_and_write_at_once() -> None:
    size, turns = 3_000_000, 5
    data = np.random.default_rng(0).integers(0, 256, size, np.uint8).data

    def write(end: TlsSocket) -> None:
        for _ in range(turns):
            end.sendall(data)

    def read(end: TlsSocket) -> bool:
        memory = bytearray(size)
        return all(end.recv_into(memoryview(memory)) == size and memory == data for _ in range(turns))

    with pair() as ends, ThreadPoolExecutor(4) as pool:
        writing = [pool.submit(write, end) for end in ends]
        reading = [pool.submit(read, end) for end in ends]
        assert [each.result(60) for each in reading] == [True, True]
        for each in writing:
            each.result(5)


def test_what_the_kernel_does_not_take_is_bounded_and_comes_later() -> None:
    with pair() as (near, far):
        parts, taken = [memoryview(bytes([7]) * 50_000_000)], 0
        while not near.unsent:
            count = near.sendmsg([parts[0][taken:]])
            assert 0 < count <= CHUNK_BYTES
            taken += count
        with pytest.raises(BlockingIOError):
            near.sendmsg(parts)
        memory = bytearray(taken)
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(far.recv_into, memoryview(memory))
            near.flush()
            assert reading.result(10) == taken
        assert not near.unsent
        assert memory == bytes([7]) * taken


def test_a_record_changed_on_the_way_ends_the_connection() -> None:
    with pair() as (near, far):
        near.sendall(b"x" * 100)
        spoiled = bytearray(far._sock.recv(1 << 16))
        spoiled[-1] ^= 1
        far._incoming.write(bytes(spoiled))
        with pytest.raises(WireError, match=r"broke the rules of TLS|speak TLS"):
            far.recv(100)


def test_cut_off_without_a_farewell_is_the_end_of_the_stream() -> None:
    with pair() as (near, far):
        near.sendall(b"x")
        near.shutdown(socket.SHUT_WR)
        assert (far.recv(5), far.recv(5)) == (b"x", b"")
