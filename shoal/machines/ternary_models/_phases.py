"""A prompt and new tokens on the engine of tables, apart: the one waits for computing, the other for loading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Literal

from shoal.errors import InputError
from shoal.machines._bill import bill
from shoal.machines.accelerators._tellme_attention import Order, visited
from shoal.machines.accelerators._ternary import Job, steady_cycles, streamed
from shoal.machines.accelerators.tellme import Tellme
from shoal.machines.ternary_models._decoders import TernaryDecoder

Head = Literal["host", "engine"]  # who does the last product: processors in int8, or tables with ternary weights


@dataclass(frozen=True)
class Phase:
    """One phase."""

    seconds: float  # until the first token; or of one new token
    linear_s: float  # the engine computes
    load_s: float  # its port loads
    attention_s: float
    head_s: float
    energy_j: Mapping[str, float]  # by component

    @property
    def joules(self) -> float:
        """All components."""
        return sum(self.energy_j.values())


def prefill(
    machine: Tellme, model: TernaryDecoder, tokens: int, order: Order = "reversed", head: Head = "host"
) -> Phase:
    """A prompt, up to its first new token: a tile of weights is loaded once and meets all tokens.

    Raises:
        InputError: no token.
        LimitError: URAM holds no two tiles.
    """
    _check(tokens)
    attention, macs = _prompt_attention(machine, model, tokens, order)
    jobs = [*_layers(machine, model, tokens, attention), *_head(machine, model, head)]
    return _phase(machine, model, jobs, streamed(jobs).cycles, tokens, macs, attention, head)


def decode(machine: Tellme, model: TernaryDecoder, seen: int, head: Head = "host") -> Phase:
    """A new token after `seen` others, in a long row of them; keys and values come over a port of their own.

    Raises:
        InputError: none seen.
        LimitError: URAM holds no two tiles.
    """
    _check(seen)
    attention, macs = _one_attention(machine, model, seen)
    jobs = [*_layers(machine, model, 1, attention), *_head(machine, model, head)]
    return _phase(machine, model, jobs, steady_cycles(jobs), 1, macs, attention, head)


def _check(tokens: int) -> None:
    if tokens < 1:
        raise InputError("no token", where="tellme", needed="at least 1", had=str(tokens))


def layer_halves(machine: Tellme, model: TernaryDecoder, rows: int, seen: int) -> tuple[list[Job], list[Job]]:
    """The jobs of one layer: up to what mixes tokens, and what each goes through by itself.

    Args:
        machine: whose.
        model: whose layer.
        rows: new tokens.
        seen: others before a single new one.
    """
    prompt = rows > 1
    attention, _ = (
        _prompt_attention(machine, model, rows, "reversed") if prompt else _one_attention(machine, model, seen)
    )
    return _half(machine, model, 0, rows, attention), _half(machine, model, 1, rows, attention)


def _layers(machine: Tellme, model: TernaryDecoder, rows: int, attention: int) -> list[Job]:
    return [job for half in (0, 1) for job in _half(machine, model, half, rows, attention)] * model.layers


def _half(machine: Tellme, model: TernaryDecoder, half: int, rows: int, attention: int) -> list[Job]:
    """Norms need a whole vector, of the last token at least; attention stands before the second group."""
    found = [Job("norm", ceil(model.width / machine.vector_lanes), drain=machine.fill_cycles)]
    for at, group in enumerate(model.groups[2 * half : 2 * half + 2]):
        found += [Job("attention", attention)] * (at == 1 and half == 0)
        found += [job for each in group for job in machine.jobs(each.name, each.inputs, each.outputs, rows)]
        found.append(Job("fill", 0, drain=machine.fill_cycles))
    return found


def _head(machine: Tellme, model: TernaryDecoder, head: Head) -> list[Job]:
    """Of the last token alone."""
    if head == "engine":
        return machine.jobs("head", model.width, model.vocabulary, 1)
    return [Job("head", 0, drain=ceil(model.head_weights / machine.host_bytes_per_s * machine.clock_hz))]


def _prompt_attention(machine: Tellme, model: TernaryDecoder, tokens: int, order: Order) -> tuple[int, int]:
    """Cycles of a layer, and multiply-adds; keys and values of a tile are loaded beside computing."""
    if not model.heads:
        return 0, 0
    block = machine.block_tokens
    found = visited(ceil(tokens / block), order, machine.kept_blocks)
    macs = found.tiles * block * block * model.width * 2
    loaded = found.loads * block * 2 * model.width
    return max(ceil(macs / machine.prefill_lanes), ceil(loaded / machine.port_bytes)), macs


def _one_attention(machine: Tellme, model: TernaryDecoder, seen: int) -> tuple[int, int]:
    """The same of one new token, whose port brings keys and values as fast as they are met."""
    macs = 2 * seen * model.width * bool(model.heads)
    return ceil(macs / machine.decode_lanes), macs


def _phase(machine: Tellme, model: TernaryDecoder, jobs: list[Job], cycles: float, rows: int, macs: int, attention: int,
           head: Head) -> Phase:  # fmt: skip
    seconds, clock = cycles / machine.clock_hz, machine.clock_hz
    counts: dict[str, float] = {}
    for each in model.matrices:
        for name, count in machine.counted(each.name, each.inputs, each.outputs, rows).items():
            counts[name] = counts.get(name, 0.0) + model.layers * count
    counts["attention"] += model.layers * macs
    if head == "engine":
        for name, count in machine.counted("head", model.width, model.vocabulary, 1).items():
            counts[name] += count
    else:
        counts["ddr"] += model.head_weights
    last = [job for job in jobs if job.what == "head"]
    other_s = {name: sum(job.work for job in jobs if job.what == name) / clock for name in ("attention", "norm")}
    head_s = sum(max(job.load, job.work + job.drain) for job in last) / clock
    linear_s = sum(job.work for job in jobs) / clock - sum(other_s.values()) - sum(job.work for job in last) / clock
    load_s = sum(job.load for job in jobs if job.what != "head") / clock
    joules = bill(counts, machine.prices(), machine.static_w, seconds)
    return Phase(seconds, linear_s, load_s, model.layers * attention / clock, head_s, joules)
