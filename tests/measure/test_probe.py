"""This machine probed for real, written as a fleet file and read back."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shoal import catalog, fleet
from shoal.errors import UnitError, WireError
from shoal.measure import bench_path, bench_rate, kept_benches, load_table, machine_id, measure_link, probe
from shoal.measure.echo import listen, serve
from shoal.measure.link import HEAD
from shoal.measure.probe import thread_counts


@pytest.fixture
def peer() -> Iterator[str]:
    listener = listen("127.0.0.1:0")
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_a_probe_is_a_fleet_file_of_this_machine(peer: str, tmp_path: Path) -> None:
    found = probe(peer)
    (here,) = found.devices
    (unit,) = here.units
    assert (here.name, here.board) == ("here", "this-machine")
    assert "onnxruntime" in unit.engines
    assert 1e8 < unit.peak_flop_per_s["float32"] < 1e14
    assert 1e8 < unit.memory_bytes_per_s < 1e13
    assert found.default_link is not None
    fleet.save(found, tmp_path / "fleet.toml")
    assert fleet.load(tmp_path / "fleet.toml") == found
    kept = load_table(bench_path()).samples
    assert {sample.threads for sample in kept} == set(thread_counts())
    assert set(kept_benches()) == set(kept)  # reused, not measured again


@pytest.mark.parametrize("name", catalog.names("measure/benches"))
def test_a_bench_gives_a_rate(name: str) -> None:
    options = {
        "cached": "cached:call_bytes=1000000,repeats=3,least_s=0",
        "gemm": "gemm:size=128,repeats=3,least_s=0",
        "launch": "launch:chain=16,repeats=3,least_s=0",
        "sigmoid": "sigmoid:count=256,chain=4,repeats=3,least_s=0",
        "stream": "stream:megabytes=4,repeats=3",
    }
    sample = catalog.make("measure/benches", options[name]).run(1)
    assert (sample.machine, sample.threads, sample.repeats) == (machine_id(), 1, 3)
    assert bench_rate(sample) > (1e4 if name == "launch" else 1e7)


def test_a_link_has_a_latency_and_a_bandwidth(peer: str) -> None:
    found = measure_link(peer, payload_bytes=1 << 20, repeats=5)
    assert 0 < found.latency_s < 0.1
    assert found.bandwidth_bytes_per_s > 1e6


def test_the_echo_server_hangs_up_on_strangers(peer: str) -> None:
    host, port = peer.split(":")
    for request in (b"GET / HTTP/1.0\r\n\r\n", HEAD.pack(b"SHEC", 0xFFFFFFFF)):
        with socket.create_connection((host, int(port)), timeout=5) as link:
            link.sendall(request)
            with contextlib.suppress(ConnectionResetError):  # it left our bytes unread
                assert link.recv(1) == b""
    assert measure_link(peer, payload_bytes=1000, repeats=2).latency_s > 0


def test_nobody_there_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(WireError, match="cannot listen"):
            listen(f"127.0.0.1:{port}")
    with pytest.raises(WireError, match="no echo server answers"):
        measure_link(f"127.0.0.1:{port}")


@pytest.mark.parametrize("text", ["", "host", "host:", ":80", "host:http", "host:70000"])
def test_an_address_is_host_and_port(text: str) -> None:
    with pytest.raises(UnitError, match="host:port"):
        measure_link(text)
