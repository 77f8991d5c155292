"""A Fleet written as a fleet file that loads to an equal Fleet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from shoal import codec, units
from shoal.fleet.values import RANGED, Coupling, Device, Fleet, Lifecycle, Link, Unit

_WRITTEN = {
    "byte": (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("B", 1)),
    "byte/second": (("GB/s", 1e9), ("MB/s", 1e6), ("B/s", 1.0)),
    "flop/second": (("Tflop/s", 1e12), ("Gflop/s", 1e9), ("flop/s", 1.0)),
    "hertz": (("GHz", 1e9), ("MHz", 1e6), ("Hz", 1.0)),
    "second": (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("year", 31_557_600.0)),
    "joule/byte": (("J/B", 1.0), ("nJ/B", 1e-9)),
    "watt": (("W", 1.0),),
    "kilogram": (("kg", 1.0),),
    "kilogram/joule": (("g/kWh", 1e-3 / 3.6e6), ("kg/J", 1.0)),
    "mm²": (("mm²", 1.0),),
    "USD": (("USD", 1.0),),
}  # the SI unit itself is among them, so that any figure can be written exactly


def save(fleet: Fleet, path: str | Path) -> None:
    """Write `fleet` to the TOML file `path`, whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    codec.write_bytes(dumps(fleet).encode(), Path(path))


def dumps(fleet: Fleet) -> str:
    """`fleet` as TOML: every device in full, its board as its title; a default link joins any pair."""
    lines: list[str] = []
    for device in fleet.devices:
        lines += _device(device)
    if fleet.default_link:
        lines += ["", "[default_link]", *_link(fleet.default_link)]
    for link in fleet.links:
        members = ", ".join(_text(member) for member in link.members)
        lines += ["", "[[links]]", *_link(link), f"members = [{members}]"]
    return "\n".join(lines).lstrip("\n") + "\n"


def _device(device: Device) -> Iterator[str]:
    at = f"devices.{_key(device.name)}"
    yield from ("", f"[{at}]")
    if device.board:
        yield f"title = {_text(device.board)}"
    yield f"memory = {_figure(device.memory_bytes, 'byte')}"
    yield f"memory_limit = {_figure(device.memory_limit_bytes, 'byte')}"
    yield f"idle = {_figure(device.idle_w, 'watt')}"
    yield f"link_energy = {_figure(device.link_j_per_byte, 'joule/byte')}"
    if device.price_usd is not None:
        yield f"price = {_figure(device.price_usd, 'USD')}"
    if device.stock is not None:
        yield f"stock = {device.stock}"
    if device.carbon_kg is not None:
        yield f"carbon = {_figure(device.carbon_kg, 'kilogram')}"
    if device.cores is not None:
        yield f"cores = {list(device.cores)}"
    if device.address is not None:
        yield f"address = {_text(device.address)}"
    if device.speed != 1:
        yield f"speed = {float(device.speed)!r}"
    if device.coupling is not None:
        yield from _coupling(device.coupling, f"{at}.coupling")
    if device.lifecycle is not None:
        yield from _lifecycle(device.lifecycle, f"{at}.lifecycle")
    for unit in device.units:
        yield from _unit(unit, f"{at}.units.{_key(unit.name)}")


def _coupling(coupling: Coupling, at: str) -> Iterator[str]:
    yield from ("", f"[{at}]", f"kind = {_text(coupling.kind)}")
    yield f"bandwidth = {_figure(coupling.bytes_per_s, 'byte/second')}"
    yield f"launch = {_figure(coupling.launch_s, 'second')}"
    yield f"host_speed = {float(coupling.host_speed)!r}"


def _lifecycle(lifecycle: Lifecycle, at: str) -> Iterator[str]:
    yield from ("", f"[{at}]", f"lifetime = {_figure(lifecycle.lifetime_s, 'second')}")
    yield f"grid = {_figure(lifecycle.grid_kg_per_j, 'kilogram/joule')}"
    yield f"utilisation = {float(lifecycle.utilisation)!r}"
    yield f"pue = {float(lifecycle.pue)!r}"
    if lifecycle.die_mm2 is not None:
        yield f"die_area = {_figure(lifecycle.die_mm2, 'mm²')}"
    yield f"storage = {_figure(lifecycle.storage_bytes, 'byte')}"
    if lifecycle.ranges:
        yield from ("", f"[{at}.ranges]")
    for key, ends in lifecycle.ranges.items():
        unit = RANGED[key]
        yield f"{key} = [{', '.join(_figure(end, unit) if unit else repr(float(end)) for end in ends)}]"


def _unit(unit: Unit, at: str) -> Iterator[str]:
    yield from ("", f"[{at}]", f"cores = {unit.cores}")
    yield f"bandwidth = {_figure(unit.memory_bytes_per_s, 'byte/second')}"
    yield f"busy = {_figure(unit.busy_w, 'watt')}"
    peaks = unit.peak_flop_per_s.items()
    yield _inline("peak", (f"{_key(kind)} = {_figure(rate, 'flop/second')}" for kind, rate in peaks))
    yield f"engines = [{', '.join(_text(engine) for engine in unit.engines)}]"
    for point in unit.operating_points:
        yield from ("", f"[{at}.operating_points.{_key(point.name)}]", f"speed = {float(point.speed)!r}")
        yield f"busy = {_figure(point.busy_w, 'watt')}"
    if unit.macs is not None:
        yield from ("", f"[{at}.macs]", f"rows = {unit.macs.rows}", f"columns = {unit.macs.columns}")
        yield f"clock = {_figure(unit.macs.clock_hz, 'hertz')}"
        yield f"node = {unit.macs.node_nm}"
        yield f"multiplier = {_text(unit.macs.multiplier)}"


def _link(link: Link) -> Iterator[str]:
    yield f"name = {_text(link.name)}"
    yield f"bandwidth = {_figure(link.bandwidth_bytes_per_s, 'byte/second')}"
    yield f"latency = {_figure(link.latency_s, 'second')}"
    yield f"energy = {_figure(link.j_per_byte, 'joule/byte')}"
    yield f"shared = {'true' if link.shared else 'false'}"


def _inline(key: str, pairs: Iterable[str]) -> str:
    return f"{key} = {{ {', '.join(pairs)} }}"


def _figure(figure: float, unit: str) -> str:
    """`figure` in the shortest way that reads back to exactly it."""
    texts = [f"{_number(figure / scale)} {name}" for name, scale in _WRITTEN[unit]]
    return _text(min((text for text in texts if _reads_back(text, unit, figure)), key=len))


def _reads_back(text: str, unit: str, figure: float) -> bool:
    return units.parse(text, unit, zero=True) == figure


def _number(figure: float) -> str:
    return repr(float(figure)).removesuffix(".0")


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _text(name)
