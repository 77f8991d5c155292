from __future__ import annotations

from pathlib import Path
from typing import Any

from shoal.fleet import load


def test_a_fleet_file_of_this_machine(shoal: Any) -> None:
    done = shoal("probe", "-o", "here.toml", "--json")
    assert done.code == 0
    assert done.err == "fleet written to here.toml\n"
    device = load(Path("here.toml")).devices[0]
    assert device.board == "this-machine"
    assert device.units[0].peak_flop_per_s["float32"] > 1e8
    assert "onnxruntime" in device.units[0].engines
    assert done.json["devices"][0]["memory_bytes"] == device.memory_bytes


def test_mistakes_are_told_before_anything_is_measured(shoal: Any) -> None:
    Path("a-file").write_text("")
    assert "a-file/here.toml: cannot write" in shoal("probe", "-o", "a-file/here.toml").complaint
    assert "extra argument" in shoal("probe", "here.toml").complaint
    assert "host:port" in shoal("probe", "--peer", "nowhere").complaint


def test_a_peer_that_is_not_there_fails_the_work(shoal: Any) -> None:
    done = shoal("probe", "--peer", "127.0.0.1:1")
    assert done.code == 1
    assert done.err.startswith("error: ")
