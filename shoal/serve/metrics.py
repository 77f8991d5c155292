"""What Prometheus is told. Units are base units and stand in the names, as its conventions have it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from shoal.live import DeviceState, ServiceState
from shoal.serve.faults import ANSWERED, OUTCOMES, verdict_of

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
DeviceFigure = Callable[[DeviceState], float | None]


class Metrics:
    """Counters of this front, and the service's state as it is when it is asked for."""

    def __init__(self, state: Callable[[], ServiceState]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "shoal_requests", "Requests by what became of them.", ("outcome",), registry=self._registry
        )
        for outcome in OUTCOMES:  # so that a rate is known from the first one on
            self._requests.labels(outcome)
        self._seconds = Histogram(
            "shoal_request_seconds",
            "From the request's head to its answer, of those that were answered.",
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        service = _Service(state)
        self._registry.register(service)
        self.look = service.look

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the request within, and time it if it is answered."""
        began_s = time.perf_counter()
        try:
            yield
        except BaseException as fault:
            self._requests.labels(verdict_of(fault).outcome).inc()
            raise
        self._requests.labels(ANSWERED.outcome).inc()
        self._seconds.observe(time.perf_counter() - began_s)

    def text(self) -> bytes:
        """Everything in the text format."""
        return generate_latest(self._registry)


class _Service(Collector):
    """The service's state as metrics."""

    def __init__(self, state: Callable[[], ServiceState]) -> None:
        self._state = state
        self._epochs: dict[int, int] = {}
        self._answered = 0

    def describe(self) -> list[Metric]:
        """Nothing: it would cost a state."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One state's worth."""
        state = self._state()
        yield from _gauges(state)
        yield from _counters(state)
        yield self._by_epoch(state)
        for name, text, figure in _OF_DEVICES:
            family = GaugeMetricFamily(name, text, labels=("device",))
            for device in state.devices:
                value = figure(device)
                if value is not None:
                    family.add_metric((device.name,), value)
            yield family
        energy = CounterMetricFamily(
            "shoal_device_energy_joules",
            "Joules since the service began, by the plan's powers.",
            labels=("device",),
        )
        busy = GaugeMetricFamily(
            "shoal_unit_busy_ratio", "Share of the latest seconds a unit worked.", labels=("unit",)
        )
        for device in state.devices:
            energy.add_metric((device.name,), device.energy_j)
            for unit in device.units:
                if unit.busy_share is not None:
                    busy.add_metric((unit.unit,), unit.busy_share)
        yield energy
        yield busy

    def look(self, state: ServiceState) -> None:
        """Put what was answered since the last look down to the epoch that serves now."""
        self._epochs[state.epoch] = self._epochs.get(state.epoch, 0) + max(0, state.answered - self._answered)
        self._answered = state.answered

    def _by_epoch(self, state: ServiceState) -> Metric:
        self.look(state)
        family = CounterMetricFamily(
            "shoal_items", "Items answered, by the epoch that served when they were counted.", labels=("epoch",)
        )
        for epoch, count in sorted(self._epochs.items()):
            family.add_metric((str(epoch),), count)
        return family


_OF_DEVICES: tuple[tuple[str, str, DeviceFigure], ...] = (
    ("shoal_device_present", "Whether the device is there.", lambda device: float(device.present)),
    ("shoal_device_cpu_ratio", "Share of the device's processors in use.", lambda device: device.cpu_share),
    ("shoal_device_memory_bytes", "Memory in use on the device.", lambda device: device.memory_bytes),
    ("shoal_device_memory_limit_bytes", "Memory that may be used.", lambda device: device.memory_limit_bytes),
    ("shoal_device_temperature_celsius", "Temperature the board tells.", lambda device: device.temperature_c),
)


def _gauges(state: ServiceState) -> Iterator[Metric]:
    there = sum(device.present for device in state.devices)
    for name, text, value in (
        ("shoal_ready", "Whether requests are answered.", float(state.ready)),
        ("shoal_draining", "Whether no more requests are taken.", float(state.draining)),
        ("shoal_epoch", "Number of the plan that serves.", state.epoch),
        ("shoal_queue_requests", "Requests that wait to begin.", state.queued),
        ("shoal_queue_limit_requests", "Requests that may wait.", state.queue_limit),
        ("shoal_in_flight_items", "Items within the pipeline.", state.in_flight),
        ("shoal_window_items", "Items that may be within the pipeline.", state.window),
        ("shoal_devices_present", "Devices that are there.", there),
        ("shoal_devices", "Devices of the fleet.", len(state.devices)),
        ("shoal_start_time_seconds", "When the service began, in Unix seconds.", state.began_s),
    ):
        yield GaugeMetricFamily(name, text, value=value)


def _counters(state: ServiceState) -> Iterator[Metric]:
    energy_j = sum(device.energy_j for device in state.devices)
    for name, text, value in (
        ("shoal_items_refused", "Items not taken.", float(state.refused)),
        ("shoal_items_failed", "Items taken and not answered.", float(state.failed)),
        ("shoal_items_resent", "Items begun again on other devices.", float(state.resent)),
        ("shoal_energy_joules", "Joules since the service began, by the plan's powers.", energy_j),
    ):
        yield CounterMetricFamily(name, text, value=value)
