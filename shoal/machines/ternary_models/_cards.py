"""Decoding on cards with a ternary matrix core: layers dealt out in order, streams that follow each other over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

from shoal.errors import InputError, LimitError
from shoal.machines._bill import bill
from shoal.machines._mesh import Mesh
from shoal.machines._steps import Compute, Counts, Send, Step, passed
from shoal.machines.accelerators._ternary import Job, steady_cycles, streamed
from shoal.machines.accelerators.tereffic import Tereffic
from shoal.machines.ternary_models._decoders import TernaryDecoder
from shoal.units import format_bytes

ROUNDS = 4  # tokens of each stream until a steady state is looked at, and again as many


@dataclass(frozen=True)
class Decoding:
    """What new tokens take once all streams are under way. The head is not among it: see `head_s` of `decoding`."""

    tokens_per_s: float  # of all streams
    token_s: float  # from one token of a stream to its next
    cards_bytes: tuple[int, ...]  # packed weights on each card
    busy_s: tuple[float, ...]  # of each card's core, for a token of every stream
    energy_j: Mapping[str, float]  # of one token, by component

    @property
    def joules(self) -> float:
        """Of one token."""
        return sum(self.energy_j.values())

    @property
    def watts(self) -> float:
        """While it decodes."""
        return self.joules * self.tokens_per_s


def placed(machine: Tereffic, model: TernaryDecoder) -> tuple[int, ...]:
    """How many layers each card holds.

    Raises:
        LimitError: they need more cards, which the message tells.
    """
    layer = layer_bytes(machine, model)
    held = machine.capacity_bytes // layer
    if held == 0 or ceil(model.layers / held) > machine.cards:
        cards = f"{ceil(model.layers / held)} cards" if held else f"{format_bytes(layer)} for a layer"
        raise LimitError("the weights do not fit on the cards", where=f"tereffic, model '{model.name}'",
                         needed=f"{cards} ({format_bytes(layer * model.layers)} in all)",
                         had=f"{machine.cards} of {format_bytes(machine.capacity_bytes)}")  # fmt: skip
    bounds = [at * model.layers // machine.cards for at in range(machine.cards + 1)]
    return tuple(after - before for before, after in pairwise(bounds))


def layer_bytes(machine: Tereffic, model: TernaryDecoder) -> int:
    """Of one layer's matrices, packed."""
    return sum(machine.packed_bytes(each.inputs, each.outputs) for each in model.matrices)


def layer_jobs(machine: Tereffic, model: TernaryDecoder, rows: int) -> list[Job]:
    """One layer: the pipeline fills anew behind each norm, and wherever products need all of what is before."""
    norm = Job("norm", 0, drain=machine.fill_cycles)
    found = []
    for at, group in enumerate(model.groups):
        jobs = [job for each in group for job in machine.jobs(each.name, each.inputs, each.outputs, rows)]
        found += [norm] * (at % 2 == 0) + [*jobs[:-1], replace(jobs[-1], drain=machine.fill_cycles)]
    return found


def decoding(machine: Tereffic, model: TernaryDecoder, streams: int = 1, head_s: float = 0.0) -> Decoding:
    """One token of every stream after another.

    Args:
        machine: weights on the cards: each stream goes over them on its own, and others follow it; weights in HBM: one
            card, and all streams meet a tile while it is there.
        model: whose layers.
        streams: texts at once.
        head_s: seconds of the last product and the choice of a token, done elsewhere, before a stream's next token.

    Raises:
        InputError: no stream, or several cards that stream weights.
        LimitError: the weights do not fit.
    """
    _check(machine, streams, "stream")
    layers = placed(machine, model)
    if machine.weights == "hbm":
        return _streamed(machine, model, streams, head_s)
    return _resident(machine, model, layers, streams, head_s)


def prompting(machine: Tereffic, model: TernaryDecoder, tokens: int) -> Decoding:
    """All tokens of a prompt at once, as a token of one stream; a tile of weights meets all of them.

    Raises:
        InputError: several cards that stream weights, or no token.
        LimitError: the weights do not fit.
    """
    _check(machine, tokens, "token")
    layers = placed(machine, model)
    one_s = streamed(layer_jobs(machine, model, tokens) * model.layers).cycles / machine.clock_hz
    events = machine.counted(tokens * model.ternary_weights, layer_bytes(machine, model) * model.layers,
                             2 * (machine.cards - 1) * tokens * model.width)  # fmt: skip
    seconds = one_s + link_s(machine, model, tokens)
    joules = bill(events, machine.prices(), machine.static_w * machine.cards, seconds)
    held = tuple(count * layer_bytes(machine, model) for count in layers)
    return Decoding(1 / seconds, seconds, held, tuple(one_s * count / model.layers for count in layers), joules)


def link_s(machine: Tereffic, model: TernaryDecoder, tokens: int = 1) -> float:
    """Seconds on links, of one token or of several together: from card to card, and back."""
    sent_s = tokens * machine.cards * _hop_s(machine, model)
    return 2 * (machine.cards - 1) * machine.link_s + (machine.cards > 1) * sent_s


def _check(machine: Tereffic, count: int, what: str) -> None:
    if count < 1:
        raise InputError(f"no {what}", where="tereffic", needed="at least 1", had=str(count))
    if machine.weights == "hbm" and machine.cards > 1:
        raise InputError("no split of streamed weights over cards", where="tereffic", needed="cards=1",
                         had=f"cards={machine.cards}")  # fmt: skip


def _hop_s(machine: Tereffic, model: TernaryDecoder) -> float:
    return model.width / machine.link_bytes_per_s


def _streamed(machine: Tereffic, model: TernaryDecoder, streams: int, head_s: float) -> Decoding:
    jobs = layer_jobs(machine, model, streams) * model.layers
    waits = ceil(head_s * machine.clock_hz)
    cycles = steady_cycles([*jobs, Job("head", 0, drain=waits)])
    token_s = cycles / machine.clock_hz
    busy_s = sum(job.work for job in jobs) / machine.clock_hz
    return _decoding(machine, model, streams, token_s, (model.layers,), (busy_s,))


def _resident(
    machine: Tereffic, model: TernaryDecoder, layers: tuple[int, ...], streams: int, head_s: float
) -> Decoding:
    one = streamed(layer_jobs(machine, model, 1)).cycles / machine.clock_hz
    cards_s = tuple(count * one for count in layers)
    mesh = Mesh(machine.cards, 1, machine.link_bytes_per_s, machine.link_s)
    times = [passed(_steps(cards_s, model.width, streams, rounds, head_s), mesh, _seconds).seconds
             for rounds in (ROUNDS, 2 * ROUNDS)]  # fmt: skip
    busy_s = tuple(streams * each for each in cards_s)
    return _decoding(machine, model, streams, (times[1] - times[0]) / ROUNDS, layers, busy_s)


def _steps(cards_s: tuple[float, ...], width: int, streams: int, rounds: int, head_s: float) -> list[Step]:
    """Tokens of every stream: card after card, an int8 vector from each to the next, and back from the last."""
    steps: list[Step] = []
    last: list[tuple[int, ...]] = [()] * streams
    for _ in range(rounds):
        for stream in range(streams):
            after = last[stream]
            for card, seconds in enumerate(cards_s):
                steps.append(Compute(card, {"s": seconds}, after))
                steps.append(Send(card, (card + 1) % len(cards_s), width, (len(steps) - 1,)))
                after = (len(steps) - 1,)
            steps.append(Compute(0, {"s": head_s}, after, unit="host"))
            last[stream] = (len(steps) - 1,)
    return steps


def _seconds(counts: Counts) -> float:
    return counts["s"]


def _decoding(machine: Tereffic, model: TernaryDecoder, streams: int, token_s: float, layers: tuple[int, ...],
              busy_s: tuple[float, ...]) -> Decoding:  # fmt: skip
    """Streams meet weights in HBM together, those on cards one after another; energy is that of one stream's token."""
    layer = layer_bytes(machine, model)
    together = streams if machine.weights == "hbm" else 1
    hops = 2 * (machine.cards - 1)
    events = machine.counted(model.ternary_weights, layer * model.layers, hops * model.width)
    shared = {name: count / together if name in ("weights", "hbm") else count for name, count in events.items()}
    joules = bill(shared, machine.prices(), machine.static_w * machine.cards, token_s / streams)
    return Decoding(streams / token_s, token_s, tuple(count * layer for count in layers), busy_s, joules)
