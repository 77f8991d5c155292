"""Plans of experts, for people and for machines, and what their workers did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from rich.console import Console
from rich.table import Table

from shoal import codec
from shoal.catalog import nearest
from shoal.cli import options
from shoal.errors import InputError
from shoal.plan.experts import Combine
from shoal.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from shoal.fleet import Fleet
    from shoal.llm.expert_parallel import Tally
    from shoal.llm.expert_plan import Found
    from shoal.plan.experts import Curve, Dependency, ExpertPlan

ROUTES_FILE = "routes.npz"
COMBINES: tuple[Combine, ...] = get_args(Combine)


def planned(
    model: Path,
    fleet: Fleet,
    technique: str,
    routes: Sequence[Path],
    step_tokens: int,
    combine: str,
    *,
    measure: bool,
) -> Found:
    """See `shoal.llm.expert_plan.Question`.

    Raises:
        InputError: tokens are combined nowhere like that, and what `Question` raises.
    """
    from shoal.llm.expert_plan import Question

    where = next((each for each in COMBINES if each == combine), None)
    if where is None:
        raise InputError(f"tokens do not go '{combine}'", where="--combine", hint=nearest(combine, COMBINES))
    return Question(model, fleet, technique, tuple(routes), step_tokens, where, measure).answered()


def tell(found: Found, output: Path, *, json: bool) -> None:
    """Write the plan, and the routes if they were recorded, and show what it is expected to cost."""
    (output / options.PLAN_FILE).unlink(missing_ok=True)  # of another model: the folder is now one of experts
    codec.save(found.plan, output / options.EXPERTS_FILE)
    if found.recorded is not None:
        found.recorded.save(output / ROUTES_FILE)
    if json:
        options.emit(_facts(found))
        return
    out = Console(highlight=False)
    for part in (
        _head(found),
        "",
        _devices(found.plan),
        "",
        _layers(found.plan),
        "",
        *_links(found.plan),
        *_costs(found),
    ):
        out.print(part, soft_wrap=True, markup=False)
    out.print(f"plan written to {output}; `shoal serve {output}` serves it", soft_wrap=True, markup=False)


def done(plan: ExpertPlan, tally: Tally) -> str:
    """What each device's worker did, in lines."""
    lines = []
    for host, each in zip(plan.fleet.hosts, tally.workers, strict=True):
        came = (
            f", {each.spilled:,} of them spilled here with {format_bytes(each.weight_bytes)} of weights"
            if each.spilled
            else ""
        )
        lines.append(f"{host.name}: {each.copies:,} tokens of experts computed{came}\n")
    between = int(tally.sent_bytes[:-1, :-1].sum())
    lines.append(f"{format_bytes(between)} between devices, in {tally.steps:,} layers of steps\n")
    return "".join([*lines, f"{tally.said}\n" if tally.said else ""])


def done_facts(plan: ExpertPlan, tally: Tally) -> dict[str, Any]:
    """The same for JSON."""
    pairs = zip(plan.fleet.hosts, tally.workers, strict=True)
    return {host.name: asdict(each) for host, each in pairs}


def _facts(found: Found) -> dict[str, Any]:
    plan, names = found.plan, [host.name for host in found.plan.fleet.hosts]
    sent = plan.forecast.sent_bytes
    return {
        "placement": [[names[host] for host in row] for row in plan.placement.hosts],
        "devices": {
            name: {"experts": held, "memory_bytes": held * plan.shape.weight_bytes, "limit_bytes": host.slots_bytes,
                   "room_experts": room, "load": load}
            for name, host, held, room, load in zip(names, plan.fleet.hosts, plan.held, plan.room, _loads(plan), strict=True)
        },
        "links": [
            {"from": names[at], "to": names[to], "bytes": sent[at][to]}
            for at, to in product(range(len(names)), repeat=2) if at != to
        ],
        "step_tokens": plan.step_tokens, "step_s": plan.forecast.step_s, "compute_s": plan.forecast.compute_s,
        "exchange_s": plan.forecast.exchange_s, "in_order_step_s": found.in_order.step_s, "gap": found.gap,
        "notes": found.notes, "other_bytes": found.facts.other_bytes, "profile_tokens": found.tokens[0],
        "test_tokens": found.tokens[1],
        "dependency": [
            {"layer": each.layer, "bits": each.bits, "null_bits": each.null_bits, "found": each.found}
            for each in found.dependencies
        ],
    }  # fmt: skip


def _head(found: Found) -> str:
    plan, known = found.plan, found.facts
    size, every = plan.shape.weight_bytes, known.layers * known.experts
    return (
        f"{plan.model.name}: {known.layers} layers of {known.experts} experts, {known.per_token} of them for a token; "
        f"{format_bytes(size)} each, {format_bytes(every * size)} in all; {format_bytes(known.other_bytes)} else\n"
        f"placed by {plan.technique} on {found.tokens[0]:,} tokens, judged on {found.tokens[1]:,} others"
    )


def _devices(plan: ExpertPlan) -> Table:
    table = _table("device", "experts", "memory", "limit", "load")
    for host, held, load in zip(plan.fleet.hosts, plan.held, _loads(plan), strict=True):
        table.add_row(host.name, str(held), format_bytes(held * plan.shape.weight_bytes), format_bytes(host.slots_bytes),
                      f"{load:.1%}")  # fmt: skip
    return table


def _loads(plan: ExpertPlan) -> list[float]:
    """The part of all tokens of experts that each device computes."""
    columns = [sum(column) for column in zip(*plan.forecast.copies, strict=True)]
    return [each / sum(columns) for each in columns]


def _layers(plan: ExpertPlan) -> Table:
    table = _table("layer", *(host.name for host in plan.fleet.hosts))
    for layer, row in enumerate(plan.placement.hosts):
        mine = ([expert for expert, at in enumerate(row) if at == host] for host in range(len(plan.fleet.hosts)))
        table.add_row(str(layer), *map(_ranges, mine))
    return table


def _ranges(numbers: Sequence[int]) -> str:
    """As "0-3,7", of numbers that rise."""
    found: list[list[int]] = []
    for each in numbers:
        if found and found[-1][-1] == each - 1:
            found[-1].append(each)
        else:
            found.append([each])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in found) or "–"


def _links(plan: ExpertPlan) -> Iterable[Table | str]:
    names, sent = [host.name for host in plan.fleet.hosts], plan.forecast.sent_bytes
    if len(names) > 1:
        table = _table("bytes a step", *(f"to {name}" for name in names))
        for name, row in zip(names, sent, strict=True):
            table.add_row(f"from {name}", *(format_bytes(round(each)) if each else "–" for each in row))
        yield from (table, "")


def _costs(found: Found) -> Iterable[str]:
    plan, cost = found.plan, found.plan.forecast
    yield (
        f"a step of {plan.step_tokens} tokens: {format_seconds(cost.step_s)}, of which experts "
        f"{format_seconds(cost.compute_s)}, there and back {format_seconds(cost.exchange_s)}; with experts in order "
        f"{format_seconds(found.in_order.step_s)}; predicted, attention left out"
    )
    if found.gap is not None:
        yield f"at most {found.gap:.2%} above the least there is"
    yield from found.notes
    if found.curve is not None:
        yield _measured(found.curve)
    yield from _told(found.dependencies, plan.combine)


def _measured(curve: Curve) -> str:
    pairs = zip(curve.tokens, curve.seconds, strict=True)
    return "an expert, measured here: " + ", ".join(
        f"{tokens:g} in {format_seconds(took)}" for tokens, took in pairs
    )


def _told(found: Sequence[Dependency], combine: str) -> Iterable[str]:
    """What the expert of one layer says about that of the next."""
    if found:
        bits, null = (
            sum(each) / len(found) for each in zip(*((one.bits, one.null_bits) for one in found), strict=True)
        )
        yield f"a token's expert tells {bits:.2f} bits of the one in the next layer (of shuffled tokens {null:.2f})"
    blind = [str(each.layer) for each in found if not each.found]
    if blind and len(blind) == len(found):
        yield "warning: experts of a layer say nothing about those of the next: only balancing the load can help"
    elif blind:
        yield f"warning: experts of layers {', '.join(blind)} say nothing about those of the next"
    if combine == "stay":
        yield "tokens are taken to stay with their experts; `shoal serve` brings them home after each layer"


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify="right", overflow="fold")
    return table
