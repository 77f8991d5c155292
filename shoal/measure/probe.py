"""This machine as a fleet of one, with figures measured instead of guessed."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence

from shoal import catalog
from shoal.fleet import Device, Fleet, Link, Unit, board
from shoal.measure.caches import caches
from shoal.measure.link import measure_link
from shoal.measure.machine import installed_engines, machine_id
from shoal.measure.meters.rapl import Rapl
from shoal.measure.subject import bench_rate
from shoal.measure.table import Table, bench_path, load
from shoal.record import Sample

FAMILY = "measure/benches"
THIS_MACHINE = "this-machine"
IDLE_S = 0.5  # how long to watch an energy counter with nothing to do


def probe(peer: str | None = None) -> Fleet:
    """This machine as the device "here", its benches run now and kept in the sample table.

    Peak and bandwidth are the best over the thread counts. Power is the processor's own counter's where it can
    be read, else the nominal estimate. The link to `peer` (host:port of `python -m shoal.measure.echo` there)
    becomes the fleet's default link.

    Raises:
        WireError: nobody answers at `peer`.
    """
    link = _link(peer) if peer else None
    idle_w = _power_w(_rest)
    busy: list[Sample] = []
    busy_w = _power_w(lambda: busy.extend(bench_samples()))
    device = device_of(busy)
    if idle_w is not None and busy_w is not None:
        device = _with_power(device, idle_w, max(0.0, busy_w - idle_w))
    return Fleet((device,), default_link=link)


def bench_samples() -> tuple[Sample, ...]:
    """Every bench of the family with each of a few thread counts, run now and kept in the sample table."""
    benches = [catalog.make(FAMILY, text) for text in bench_texts()]
    samples = tuple(bench.run(threads) for bench in benches for threads in thread_counts())
    Table(samples).save(bench_path())
    return samples


def bench_texts() -> tuple[str, ...]:
    """Every bench of the family, those with an option `level` once for each cache of this machine."""
    texts: list[str] = []
    for name in catalog.names(FAMILY):
        leveled = any(field.name == "level" for field in dataclasses.fields(catalog.find(FAMILY, name)))
        texts += [f"{name}:level={cache.level}" for cache in caches()] if leveled else [name]
    return tuple(texts)


def kept_benches() -> tuple[Sample, ...]:
    """This machine's bench samples from earlier, run now if there are none."""
    kept = load(bench_path()).of(machine_id()).samples
    return kept or bench_samples()


def device_of(samples: Sequence[Sample]) -> Device:
    """The device "here" with the best rates of the benches' samples; what they do not tell stays nominal."""
    nominal = board(THIS_MACHINE)
    unit = nominal.units[0]
    flop_per_s, bytes_per_s = _best(samples, "gemm"), _best(samples, "stream")
    scale = flop_per_s / unit.peak_flop_per_s["float32"]
    measured = dataclasses.replace(
        unit,
        peak_flop_per_s={form: _rounded(peak * scale) for form, peak in unit.peak_flop_per_s.items()},
        memory_bytes_per_s=_rounded(bytes_per_s),
        engines=installed_engines(),
    )
    return dataclasses.replace(nominal, name="here", board=THIS_MACHINE, units=(measured,))


def thread_counts() -> tuple[int, ...]:
    """One, the powers of two, and all cores this process may use."""
    cores = len(os.sched_getaffinity(0))
    powers = {1 << power for power in range(cores.bit_length()) if 1 << power <= cores}
    return tuple(sorted(powers | {cores}))


def _best(samples: Sequence[Sample], bench: str) -> float:
    return max(bench_rate(sample) for sample in samples if sample.subject.startswith(f"bench:{bench}:"))


def _link(peer: str) -> Link:
    found = measure_link(peer)
    return Link("measured", (), _rounded(found.bandwidth_bytes_per_s), _rounded(found.latency_s))


def _power_w(work: Callable[[], object]) -> float | None:
    """Mean power while `work` runs; None where there is no counter, but it runs all the same."""
    reading, start_s = Rapl().start(), time.monotonic()
    work()
    joules = reading.stop()
    return None if joules is None else joules / (time.monotonic() - start_s)


def _rest() -> None:
    if Rapl().available:
        time.sleep(IDLE_S)


def _with_power(device: Device, idle_w: float, busy_w: float) -> Device:
    units: tuple[Unit, ...] = tuple(dataclasses.replace(unit, busy_w=_rounded(busy_w)) for unit in device.units)
    return dataclasses.replace(device, idle_w=_rounded(idle_w), units=units)


def _rounded(figure: float) -> float:
    """Three digits: more would be noise."""
    return float(f"{figure:.3g}")
