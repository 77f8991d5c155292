from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import FleetError, InputError, UnitError
from shoal.fleet import Fleet, OperatingPoint, board, load, loads

DESIGN = """
[devices.pi]
board = "raspberry-pi-4b-4gb"
count = 2                      # pi-0, pi-1
[devices.nano]
board = "jetson-nano"
memory_limit = "3 GiB"
[devices.here]
board = "this-machine"
cores = [0]

[default_link]                 # any pair no link names
bandwidth = "100 Mbit/s"
latency = "1 ms"

[[links]]
name = "wifi"
members = ["pi-0", "pi-1", "nano"]
bandwidth = "60 Mbit/s"
latency = "3 ms"
shared = true                  # one medium for all its members
"""

INLINE = """
[devices.box]
memory = "2 GiB"
idle = "1.5 W"
[devices.box.units.cpu]
cores = 2
bandwidth = "4 GB/s"
busy = "3 W"
peak = { float32 = "20 Gflop/s" }
[devices.box.units.cpu.operating_points.low]
speed = 0.5
busy = "1 W"
"""

PI = '[devices.pi]\nboard = "raspberry-pi-4b-4gb"\n'


def refused(text: str) -> InputError:
    with pytest.raises((FleetError, UnitError)) as caught:
        loads(text, "fleet.toml")
    assert "pydantic" not in str(caught.value)
    return caught.value


def test_the_example_of_the_manual(tmp_path: Path) -> None:
    file = tmp_path / "fleet.toml"
    file.write_text(DESIGN)
    fleet = load(file)

    assert [device.name for device in fleet.devices] == ["pi-0", "pi-1", "nano", "here"]
    assert fleet.source == str(file)
    assert fleet.device("pi-1").board == "raspberry-pi-4b-4gb"
    assert fleet.device("pi-1").memory_limit_bytes == 4 * 2**30 - 400 * 2**20
    assert fleet.device("nano").memory_limit_bytes == 3 * 2**30
    assert fleet.device("here").cores == (0,)
    assert fleet.unit("here/cpu").cores == 1
    assert fleet.unit("pi-0/cpu").peak_flop_per_s["float32"] == 48e9
    assert fleet.unit_names == ("pi-0/cpu", "pi-1/cpu", "nano/cpu", "nano/gpu", "here/cpu")

    (wifi,) = fleet.path("pi-0/cpu", "nano/gpu")
    assert (wifi.name, wifi.bandwidth_bytes_per_s, wifi.latency_s, wifi.shared) == (
        "wifi",
        7.5e6,
        0.003,
        True,
    )
    assert fleet.path("pi-0", "here") == (fleet.default_link,)
    assert fleet.default_link is not None
    assert fleet.default_link.bandwidth_bytes_per_s == 12.5e6
    assert fleet.path("nano/cpu", "nano/gpu") == ()


def test_a_device_is_described_in_full_without_a_board() -> None:
    box = loads(INLINE).device("box")
    assert (box.memory_bytes, box.memory_limit_bytes, box.idle_w) == (2**31, 2**31, 1.5)
    assert box.unit("cpu").operating_points == (OperatingPoint("low", 0.5, 1.0),)
    assert box.unit("cpu").engines == ("onnxruntime",)


def test_what_is_written_beside_a_board_overrides_it_and_nothing_else() -> None:
    fleet = loads(PI + 'price = "1 USD"\nunits.cpu.peak.float32 = "40 Gflop/s"\nunits.cpu.busy = "5 W"')
    changed, plain = fleet.device("pi"), board("raspberry-pi-4b-4gb")
    assert changed.price_usd == 1
    assert changed.unit("cpu").peak_flop_per_s == {**plain.unit("cpu").peak_flop_per_s, "float32": 40e9}
    assert changed.unit("cpu").busy_w == 5
    assert changed.unit("cpu").memory_bytes_per_s == plain.unit("cpu").memory_bytes_per_s
    assert board("raspberry-pi-4b-4gb") == plain


@pytest.mark.parametrize(("count", "names"), [(1, ["pi"]), (3, ["pi-0", "pi-1", "pi-2"])])
def test_a_count_of_one_keeps_the_name(count: int, names: list[str]) -> None:
    assert [device.name for device in loads(f"{PI}count = {count}").devices] == names


def test_a_group_as_a_member_stands_for_all_its_devices() -> None:
    link = '[[links]]\nmembers = ["box", "pi"]\nbandwidth = "1 Gbit/s"\nlatency = "0 s"\n'
    fleet = loads(f"{PI}count = 2\n{INLINE}{link}")
    assert fleet.links[0].members == ("box", "pi-0", "pi-1")
    assert fleet.links[0].name == "link-0"


def test_two_devices_that_nothing_joins_have_no_path() -> None:
    with pytest.raises(FleetError, match="no link joins box and pi"):
        loads(PI + INLINE).path("pi", "box")


LINK = '[[links]]\nmembers = [{}]\nbandwidth = "1 Gbit/s"\nlatency = "1 ms"\n'

FAULTS = [
    # text, where, what, hint
    ("[devices", "fleet.toml", "not TOML", ""),
    ("", "fleet.toml: devices", "missing", ""),
    ("[devices]", "fleet.toml: devices", "at least 1", ""),
    ("devices = 4", "fleet.toml: devices", "valid dict", ""),
    ("[devices]\npi = 4", "fleet.toml: devices.pi", "valid dict", ""),
    (f'{PI}["[key]"]', "fleet.toml: [key]", "unknown key", ""),
    (f"{PI}[link]", "fleet.toml: link", "unknown key", "'links'"),
    ('[devices.pi]\nboard = "raspbery-pi-5-8gb"', "devices.pi.board", "no board", "'raspberry-pi-5-8gb'"),
    ("[devices.pi]\nboard = 4", "devices.pi.board", "valid string", ""),
    (f'{PI}memory_limt = "1 GiB"', "devices.pi.memory_limt", "unknown key", "'memory_limit'"),
    (f'{PI}[devices.pi.units.cpu]\nbusi = "1 W"', "devices.pi.units.cpu.busi", "unknown key", "'busy'"),
    (
        f'{PI}units.cpu.operating_points.powersave.sped = "1 W"',
        "devices.pi.units.cpu.operating_points.powersave.sped",
        "unknown key",
        "'speed'",
    ),
    (
        f'{PI}[devices.pi.units.cpu.peak]\nflaot32 = "1 Gflop/s"',
        "devices.pi.units.cpu.peak.flaot32",
        "unknown number format",
        "'float32'",
    ),
    (f"{PI}{LINK.format('')}bandwith = 3", "links.0.bandwith", "unknown key", "'bandwidth'"),
    (
        f"{PI}[default_link]\nlatensy = 3\nbandwidth = '1 GB/s'\nlatency = '1 s'",
        "default_link.latensy",
        "",
        "'latency'",
    ),
    (f"{PI}speed = 0.5", "devices.pi.speed", "only a local worker", ""),
    ('[devices.a]\nboard = "this-machine"\nspeed = 0.0', "devices.a.speed", "greater than 0", ""),
    ('[devices.a]\nboard = "this-machine"\nspeed = 1.5', "devices.a.speed", "less than or equal to 1", ""),
    ('[devices.a]\nboard = "this-machine"\nspeed = 0.5\naddress = "b:1"', "devices.a.speed", "b:1", ""),
    ('[devices.a]\nboard = "this-machine"\nspeed = 0.5\nunits.cpu.cores = 2', "devices.a.speed", "one core", ""),
    (f"{PI}count = 0", "devices.pi.count", "greater than or equal to 1", ""),
    (f"{PI}count = 100000000000", "devices.pi.count", "less than or equal to 10000", ""),
    (f"{PI}count = true", "devices.pi.count", "valid integer", ""),
    (f"{PI}cores = [1, 1]", "devices.pi.cores", "named twice", ""),
    (f"{PI}cores = [-1]", "devices.pi.cores.0", "greater than or equal to 0", ""),
    (f'{PI}address = "pi"', "devices.pi.address", "not an address", ""),
    (f'{PI}address = "pi:70000"', "devices.pi.address", "not an address", ""),
    (f'{PI}count = 2\naddress = "pi:70"', "devices.pi.address", "belongs to one device", ""),
    (f'{PI}memory_limit = "5 GiB"', "devices.pi.memory_limit", "more than the device has", ""),
    (f'{PI}memory = "300 MiB"', "devices.pi.system_memory", "takes all the memory", ""),
    ('[devices.x]\nboard = "this-machine"\ncores = [9999]', "devices.x.cores", "not a core of this", ""),
    (f'[devices."a/b"]\n{INLINE}', "devices.a/b", "a name is made of", ""),
    (f'{PI}count = 2\n[devices.pi-0]\nboard = "l4"', "devices.pi-0", "described twice", ""),
    (f'{PI}[devices.pi]\nboard = "l4"', "fleet.toml", "not TOML", ""),
    (PI + LINK.format('"pi", "pj"'), "links.0.members", "no device 'pj'", "known: pi"),
    (PI + INLINE + LINK.format('"pi"'), "links.0.members", "too few members", ""),
    (PI + INLINE + LINK.format('"pi", "pi"'), "links.0.members", "named twice", ""),
    (
        PI + INLINE + 2 * (LINK.format('"pi", "box"') + 'name = "eth"\n'),
        "links.1.name",
        "described twice",
        "",
    ),
]


@pytest.mark.parametrize(("text", "where", "what", "hint"), FAULTS)
def test_a_fault_is_refused_with_its_key_path_and_the_nearest_word(
    text: str, where: str, what: str, hint: str
) -> None:
    error = refused(text)
    assert isinstance(error, FleetError)
    assert error.exit_code == 2
    said = f"{error.message} {error.hint}"
    assert where in said
    assert what in said
    assert hint in said


@pytest.mark.parametrize("figure", ['"-1 GiB"', '"0 B"', '"4"', "4", '"4 W"', '"4 GB/s"', '"lots"', "[1]"])
def test_a_figure_that_is_no_amount_of_memory_is_a_unit_error(figure: str) -> None:
    error = refused(f"{PI}memory_limit = {figure}")
    assert isinstance(error, UnitError)
    assert error.where == "fleet.toml: devices.pi.memory_limit"
    assert error.needed is not None
    assert "byte" in error.needed
    assert error.had is not None
    assert "3 GiB" in (error.hint or "")


def test_all_faults_are_reported_at_once() -> None:
    error = refused(
        """
        [devices.pi]
        board = "raspbery-pi-4b-4gb"
        memory_limit = "3"
        [devices.nano]
        board = "jetson-nano"
        idel = "1 W"
        [devices.odd]
        memory = "1 GiB"
        [default_link]
        bandwidth = 5
        latency = "1 ms"
        [[links]]
        members = ["pi", "nobody"]
        bandwidth = "-1 GB/s"
        """
    )
    assert isinstance(error, FleetError)
    for path in (
        "devices.pi.board: no board",
        "devices.pi.memory_limit: a figure without its unit",
        "devices.nano.idel: unknown key; did you mean 'idle'?",
        "devices.odd.idle: missing",
        "devices.odd.units: missing",
        "default_link.bandwidth: a figure without its unit",
        "links.0.bandwidth: out of range",
        "links.0.latency: missing",
    ):
        assert path in error.message
    assert error.message.startswith("fleet.toml: 8 faults\n")


def test_only_wrong_units_are_one_unit_error() -> None:
    assert isinstance(refused(f'{PI}memory_limit = "3"\nidle = "2 J"'), UnitError)


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="cannot read"):
        load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FleetError, match="not a text file"):
        load(tmp_path / "binary.toml")


def test_nesting_without_end_is_refused() -> None:
    assert "not TOML" in refused("x = " + "[" * 100_000).what


JUNK = ["4", "-1", "true", "nan", "inf", '""', '"x"', '"3 GiB"', '"-3 W"', '"{what}"', "[]", "[1]", '["pi"]']
JUNK += ["[[]]", "{}", "{ a = 1 }", "{ cpu = {} }", "2020-01-01", "1" + "0" * 30, '"this-machine"', '"l4"']
KEYS = ["board", "count", "units", "links", "devices", "cores", "peak", '"[key]"', '""', "sources", "zzz"]
LINES = (DESIGN + INLINE).splitlines()


@given(st.lists(st.tuples(st.sampled_from(range(len(LINES))), st.sampled_from(KEYS), st.sampled_from(JUNK))))
def test_no_file_made_of_fleet_words_escapes_the_errors_of_shoal(
    changes: list[tuple[int, str, str]],
) -> None:
    lines = list(LINES)
    for line, key, value in changes:
        old = lines[line].partition(" = ")[0] if " = " in lines[line] else key
        lines[line] = f"{old if len(value) % 2 else key} = {value}"
    with suppress(InputError):  # anything else fails the test
        assert loads("\n".join(lines)).devices


def test_the_fleet_is_a_value() -> None:
    assert loads(DESIGN, "a") == loads(DESIGN, "b")
    assert isinstance(loads(DESIGN), Fleet)


def test_a_throttled_device_is_one_core_of_this_machine() -> None:
    (device,) = loads('[devices.slow]\nboard = "this-machine"\nspeed = 0.25').devices
    assert (device.speed, device.units[0].cores, device.cores) == (0.25, 1, None)
    (whole,) = loads('[devices.whole]\nboard = "this-machine"').devices
    assert whole.speed == 1.0
