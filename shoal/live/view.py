"""A service as whoever runs it sees it at one moment, put together from all who know a part of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from shoal.fleet import Device
from shoal.live.counts import Counts
from shoal.live.ground import Ground
from shoal.live.planning import Plans
from shoal.live.steering import Steering
from shoal.live.values import DeviceState, ServiceState, UnitState
from shoal.plan import Plan
from shoal.program import Program
from shoal.program.drivers.failover import FailoverState


@dataclass
class View:
    """Looks; changes nothing but what it remembers of the last look."""

    plan: Plan  # the service began with
    ground: Ground
    plans: Plans
    steering: Steering
    counts: Counts
    queue_limit: int
    began_s: float = field(default_factory=time.time)
    _busy: dict[str, tuple[float, float, float]] = field(default_factory=dict)  # unit → when, seconds then, share
    _since: dict[str, tuple[bool, float]] = field(default_factory=dict)  # device → whether there, since when

    def learn(self, epoch: int, unit: str, busy_s: float) -> None:
        """A worker said how many seconds it has computed since it began."""
        now_s, steered = time.monotonic(), self.steering.state
        then_s, before_s, _ = self._busy.get(unit, (now_s, busy_s, 0.0))
        if steered is not None and epoch == steered.epoch:
            share = (busy_s - before_s) / (now_s - then_s) if now_s > then_s and busy_s >= before_s else 0.0
            self._busy[unit] = (now_s, busy_s, min(1.0, share))

    def state(self, why: str, *, draining: bool) -> ServiceState:
        """Everything, now; `why` nothing is taken any more, if that is so."""
        steered, counts = self.steering.state, self.counts
        epoch = steered.epoch if steered is not None else 0
        flying = len(steered.flying) if steered is not None else 0
        made = self.plans.made[epoch] if epoch is not None else None
        spent_j = made.plan.prediction.energy_j if made else {}
        program = made.program if made else None
        return ServiceState(
            name=self.plan.model.name, time_s=time.time(), began_s=self.began_s,
            epoch=-1 if epoch is None else epoch, ready=made is not None and not why, draining=draining,
            window=self.plan.window, queue_limit=self.queue_limit, queued=max(0, counts.held - flying),
            in_flight=flying, answered=counts.answered, refused=counts.refused, failed=counts.failed,
            resent=counts.resent, throughput_items_per_s=counts.throughput_items_per_s,
            latency_s=counts.latency_s, energy_j_per_item=sum(spent_j.values()) if spent_j else None,
            devices=tuple(self._device(each, program, steered) for each in self.ground.fleet().devices),
            standbys=self._standbys(steered), pipeline=program.units if program else (),
        )  # fmt: skip

    def _device(self, device: Device, program: Program | None, steered: FailoverState | None) -> DeviceState:
        there, own = device.name in self.ground.present(), self.ground.vitals().get(device.name)
        before = self._since.get(device.name)
        if before is None or before[0] != there:
            before = self._since[device.name] = (there, time.time())
        names = program.units if program else ()
        units = tuple(self._unit(program, unit) for unit in names if program and unit.startswith(f"{device.name}/"))
        resting = steered is not None and device.name in steered.rests and not units
        return DeviceState(
            name=device.name, board=device.board, present=there, since_s=before[1],
            why="it is gone" if not there else "it failed, and rests" if resting else "",
            cpu_share=own.cpu_share if own else None, memory_bytes=own.memory_bytes if own else None,
            memory_limit_bytes=device.memory_limit_bytes, temperature_c=own.temperature_c if own else None,
            energy_j=self.counts.answered * self.plan.prediction.energy_j.get(device.name, 0.0), units=units,
        )  # fmt: skip

    def _unit(self, program: Program, unit: str) -> UnitState:
        segments = [segment for segment in program.segments if segment.unit == unit]
        share = self._busy.get(unit, (0.0, 0.0, 0.0))[2]
        return UnitState(unit, len(segments), sum(segment.weights_bytes for segment in segments), share)

    def _standbys(self, steered: FailoverState | None) -> dict[str, str]:
        """Device → what serves if it goes, of those in use."""
        if steered is None or steered.epoch is None:
            return {}
        ready = {epoch: each for epoch, each in steered.known.items() if each.program is not None}
        found = {}
        for device in sorted(steered.known[steered.epoch].uses):
            able = [epoch for epoch, each in ready.items() if device not in each.uses]
            if able:
                found[device] = self.plans.made[min(able, key=lambda epoch: ready[epoch].period_s)].plan.label
        return found
