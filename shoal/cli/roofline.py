"""What was measured of a model's ops on this machine, as the page of roofs shows it."""

from __future__ import annotations

from collections.abc import Iterator

from shoal.cost import Roof, roofs_here
from shoal.cost.models.table import HERE, threads_of
from shoal.errors import InputError
from shoal.fleet import Fleet
from shoal.graph import Graph, Op
from shoal.measure import Table, bench_path, load_table, machine_id, op_subject, table_path
from shoal.record import Sample
from shoal.report import RooflineOp, RooflineUnit
from shoal.report.text import plural

FAR = 4.0  # by so much roofs go beyond the ops and the bends on either side


def profiled(graph: Graph, fleet: Fleet) -> tuple[RooflineUnit, ...]:
    """One for each engine and number of threads of this machine's processor that the fleet has.

    Raises:
        InputError: none of the fleet's units is this machine's processor, or nothing was measured of it.
    """
    table = load_table(table_path(graph.identity)).of(machine_id())
    benches = load_table(bench_path()).of(machine_id()).samples
    found = []
    for engine, threads in dict.fromkeys(_here(fleet)):
        samples = [_sample(table, graph, op, engine, threads) for op in graph.ops]
        if all(each is not None for each in samples):
            ops = tuple(_op(op, each.median_s) for op, each in zip(graph.ops, samples, strict=True) if each)
            title = f"{engine}, {plural(threads, 'thread')} of this machine"
            found.append(RooflineUnit(title, ops, _lines(ops, roofs_here(benches, threads))))
    if not found:
        raise InputError("nothing was measured on a unit that is this machine's processor", where="--html",
                         hint='give the fleet a device with board = "this-machine"')  # fmt: skip
    return tuple(found)


def _here(fleet: Fleet) -> Iterator[tuple[str, int]]:
    for unit in fleet.unit_names:
        if fleet.device(unit).board == HERE and unit.endswith("/cpu"):
            for engine in fleet.unit(unit).engines:
                yield engine, threads_of(fleet, unit)


def _sample(table: Table, graph: Graph, op: Op, engine: str, threads: int) -> Sample | None:
    """None also where the engine could not take the model."""
    found = table.find(op_subject(graph.identity, op.name), engine, "float32", threads)
    return found if found is not None and found.repeats else None


def _op(op: Op, seconds: float) -> RooflineOp:
    moved = op.read_bytes + op.written_bytes + op.weights_bytes
    return RooflineOp(op.name, op.kind, 2 * op.macs, moved, seconds)


def _lines(ops: tuple[RooflineOp, ...], roofs: dict[str, Roof]) -> dict[str, tuple[tuple[float, float], ...]]:
    places = [each.flop_per_byte for each in ops if each.flop and each.bytes]
    if not places:
        return {}
    slopes = [roof.flop_per_s / roof.bytes_per_s for roof in roofs.values()]
    least, most = min((*places, *slopes)) / FAR, max(places) * FAR
    return {name: tuple((at, roof.at(at)) for at in roof.bends(least, most)) for name, roof in roofs.items()}
