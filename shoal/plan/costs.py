"""The costs a search goes by: what was measured here before, and, if asked, what is measured now."""

from __future__ import annotations

import logging

from shoal import catalog
from shoal.cost import Costs
from shoal.engines import machine_of
from shoal.errors import MissingExtra
from shoal.fleet import Fleet
from shoal.graph import Graph
from shoal.measure import Table, bench_path, handling_path, load_table, machine_id, op_subject, table_path
from shoal.measure.probe import bench_samples
from shoal.measure.profile import profile_ops

HERE = "this-machine"
PROFILED = ("onnxruntime", "ncnn", "native")  # engines that can tell what each op costs

log = logging.getLogger("shoal.plan")


def costs_of(graph: Graph, fleet: Fleet, *, measure: bool = True) -> Costs:
    """Costs of `graph` on `fleet`, by the `table` model; of arrays of multipliers by `arrays`.

    With `measure`, ops and benches that were never measured on this machine are measured first; boards that are
    not here are scaled from those figures. Of a divided graph's ops, those that were not measured themselves go by
    the whole ops that they are parts of. Of a model without weights nothing is measured: data sheets tell.

    Raises:
        InputError: the table of samples cannot be read or written.
    """
    if not graph.written:
        return nominal(graph, fleet)
    path = table_path(graph.identity)
    table = load_table(path).of(machine_id())
    benches = load_table(bench_path()).of(machine_id())
    if measure:
        benches = benches if benches.samples else Table(bench_samples())
        table = _with_missing(graph, fleet, table)
        table.save(path)
    whole = load_table(table_path(graph.base.identity)).of(machine_id()).samples if graph.base else ()
    handling = load_table(handling_path()).of(machine_id())
    samples = (*whole, *table.samples, *benches.samples, *handling.samples)
    costs: Costs = catalog.make("cost/models", _model(fleet)).over(graph, fleet, samples)
    return costs


def _model(fleet: Fleet) -> str:
    """Measurements, and above them the models of what is simulated in this fleet."""
    units = [unit for device in fleet.devices for unit in device.units]
    measured = "arrays" if any(unit.macs for unit in units) else "table"
    simulated = any(machine_of(engine) is not None for unit in units for engine in unit.engines)
    return f"machines:rest={measured}" if simulated else measured


def nominal(graph: Graph, fleet: Fleet) -> Costs:
    """Costs of a graph that nobody can run: by data sheets, in the format of its activations."""
    form = graph.tensors[graph.ops[0].outputs[0]].dtype
    costs: Costs = catalog.make("cost/models", f"roofline:arithmetic={form}").over(graph, fleet, ())
    return costs


def _with_missing(graph: Graph, fleet: Fleet, table: Table) -> Table:
    """The table with samples for each engine and thread count that the fleet asks for."""
    subject = op_subject(graph.identity, graph.ops[0].name)
    for engine in PROFILED:
        if engine == "native" and not graph.packed:
            continue
        for threads in sorted(_thread_counts(fleet, engine)):
            if table.find(subject, engine, "float32", threads) is None:
                try:
                    table = table.merge(profile_ops(graph, engine, threads))
                except MissingExtra as missing:
                    log.info("%s is not profiled: %s", engine, missing.message)
    return table


def _thread_counts(fleet: Fleet, engine: str) -> set[int]:
    """One thread, from which other boards are scaled, and what units of this machine use."""
    counts = set()
    for device in fleet.devices:
        for unit in device.units:
            if engine in unit.engines and unit.macs is None:
                counts.add(1)
                if device.board == HERE:
                    counts.add(len(device.cores) if device.cores else unit.cores)
    return counts
