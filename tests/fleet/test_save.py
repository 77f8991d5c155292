from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shoal.errors import InputError
from shoal.fleet import (
    Coupling,
    Device,
    Fleet,
    Lifecycle,
    Link,
    MacArray,
    OperatingPoint,
    Unit,
    board,
    board_names,
    dumps,
    load,
    loads,
    save,
)
from shoal.fleet.schema import FORMATS
from shoal.fleet.values import RANGED

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,8}", fullmatch=True)
positive = st.floats(min_value=1e-12, max_value=1e16)
figures = st.one_of(st.just(0.0), positive)
texts = st.text(st.characters(codec="utf-8"), max_size=12)
points = st.builds(OperatingPoint, names, positive, figures)
peaks = st.dictionaries(st.sampled_from(FORMATS), positive, min_size=1, max_size=3)
engines = st.lists(texts, max_size=2).map(tuple)


Named = TypeVar("Named", OperatingPoint, Unit, Device, Link)


def distinct(values: st.SearchStrategy[Named], least: int, most: int) -> st.SearchStrategy[tuple[Named, ...]]:
    return st.lists(values, min_size=least, max_size=most, unique_by=lambda value: value.name).map(tuple)


couplings = st.builds(Coupling, st.sampled_from(["loose", "close", "tight"]), positive, figures, positive)
macs = st.builds(MacArray, st.integers(1, 4096), st.integers(1, 4096), positive, st.integers(1, 999), texts)
units = st.builds(
    Unit, names, st.integers(1, 999), peaks, positive, figures, engines, distinct(points, 0, 2), st.none() | macs
)


@st.composite
def lifecycles(draw: st.DrawFn, carbon_kg: float | None) -> Lifecycle:
    """With some ranges, each around its figure."""
    stated = {"lifetime": draw(positive), "grid": draw(figures), "utilisation": draw(st.floats(1e-6, 0.5))}
    known = stated if carbon_kg is None else {"carbon": carbon_kg, **stated}
    ranged = draw(st.sets(st.sampled_from(sorted(known))))
    return Lifecycle(
        lifetime_s=stated["lifetime"],
        grid_kg_per_j=stated["grid"],
        utilisation=stated["utilisation"],
        pue=draw(st.floats(1, 9)),
        die_mm2=draw(st.none() | positive),
        storage_bytes=draw(st.integers(0, 2**40)),
        ranges={
            key: (known[key] * draw(st.floats(0.5, 1)), known[key] * draw(st.floats(1, 2)))
            for key in RANGED
            if key in ranged
        },
    )


@st.composite
def devices(draw: st.DrawFn) -> Device:
    memory = draw(st.integers(1, 2**42))
    carbon_kg = draw(st.none() | figures)
    return Device(
        name=draw(names),
        board=draw(texts),
        units=draw(distinct(units, 1, 2)),
        memory_bytes=memory,
        memory_limit_bytes=draw(st.integers(1, memory)),
        idle_w=draw(figures),
        link_j_per_byte=draw(figures),
        price_usd=draw(st.none() | figures),
        stock=draw(st.none() | st.integers(0, 10**6)),
        carbon_kg=carbon_kg,
        cores=draw(st.none() | st.lists(st.integers(0, 99), min_size=1, unique=True).map(tuple)),
        address=draw(st.none() | st.sampled_from(["pi.local:7070", "10.0.0.2:1", "[::1]:65535"])),
        coupling=draw(st.none() | couplings),
        lifecycle=draw(st.none() | lifecycles(carbon_kg)),
    )


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    chosen = draw(distinct(devices(), 1, 4))
    ends = [device.name for device in chosen]
    members = st.lists(st.sampled_from(ends), min_size=2, unique=True).map(tuple)
    link = st.builds(Link, names, members, positive, figures, figures, st.booleans())
    default = st.builds(Link, names, st.just(()), positive, figures, figures, st.booleans())
    links = draw(distinct(link, 0, 3)) if len(ends) > 1 else ()
    return Fleet(chosen, links, draw(st.none() | default))


@given(fleets())
@settings(max_examples=60, deadline=None)
def test_a_saved_fleet_loads_to_an_equal_fleet(fleet: Fleet) -> None:
    assert loads(dumps(fleet)) == fleet


def test_the_whole_catalog_survives_a_file(tmp_path: Path) -> None:
    fleet = Fleet(tuple(board(name) for name in (*board_names(), "this-machine")))
    save(fleet, tmp_path / "deep" / "fleet.toml")
    assert load(tmp_path / "deep" / "fleet.toml") == fleet


def test_figures_are_written_as_people_write_them() -> None:
    text = dumps(Fleet((board("raspberry-pi-4b-4gb"),), default_link=Link("default", (), 12.5e6, 0.001)))
    assert 'memory = "4 GiB"' in text
    assert 'memory_limit = "3696 MiB"' in text
    assert 'float32 = "48 Gflop/s"' in text
    assert 'bandwidth = "12.5 MB/s"' in text
    assert 'latency = "1 ms"' in text


def test_a_folder_that_is_a_file_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        save(Fleet((board("l4"),)), tmp_path / "file" / "fleet.toml")


@given(st.floats(min_value=1e-6, max_value=1.0))
def test_a_throttled_device_keeps_its_speed(speed: float) -> None:
    fleet = loads(f'[devices.slow]\nboard = "this-machine"\nspeed = {speed!r}')
    assert loads(dumps(fleet)).devices[0].speed == speed
