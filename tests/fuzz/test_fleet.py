"""Fleet files."""

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given

from shoal.fleet import dumps, load, loads
from shoal.fleet.files import board_table
from tests.fuzz.mutations import fuzzed, mutated_toml, survives

FLEET = tomllib.loads("""
[devices.pi]
board = "raspberry-pi-4b-4gb"
count = 2
memory_limit = "1 GiB"
[devices.here]
board = "this-machine"
cores = [0]
speed = 0.5
[devices.own]
title = "a board"
memory = "2 GiB"
system_memory = "100 MiB"
idle = "2 W"
link_energy = "60 nJ/B"
price = "35 USD"
stock = 3
carbon = "20 kg"
address = "192.0.2.7:4711"
[devices.own.units.cpu]
cores = 4
bandwidth = "4 GB/s"
busy = "3 W"
peak = { float32 = "10 Gflop/s", int8 = "20 Gflop/s" }
engines = ["onnxruntime", "ncnn"]
[devices.own.units.cpu.operating_points.low]
speed = 0.5
busy = "1 W"
[devices.own.lifecycle]
lifetime = "5 years"
grid = "400 g/kWh"
utilisation = 0.3
pue = 1.2
die_area = "80 mm²"
storage = "32 GB"
ranges = { grid = ["20 g/kWh", "700 g/kWh"] }
[devices.own.sources]
memory = "a data sheet"
[default_link]
bandwidth = "1 Gbit/s"
latency = "0.1 ms"
[[links]]
name = "radio"
bandwidth = "20 Mbit/s"
latency = "2 ms"
energy = "60 nJ/B"
shared = true
members = ["pi", "own"]
""")


BOARD = {key: value for key, value in board_table("raspberry-pi-4b-4gb").items() if key != "sources"}


@given(mutated_toml(FLEET))
@fuzzed(200)
def test_a_fleet_is_refused_in_words_or_can_be_written_again(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "fleet.toml"
    path.write_bytes(data)
    fleet = survives(lambda: load(path), "fleet.toml")
    if fleet is not None:
        assert loads(dumps(fleet)) == fleet


@given(mutated_toml({"devices": {"whole": BOARD}}))
@fuzzed(60)
def test_a_board_written_in_full_is_refused_in_words_or_read(data: bytes) -> None:
    text = data.decode(errors="replace")
    survives(lambda: loads(text, "fleet.toml"), "fleet.toml")
