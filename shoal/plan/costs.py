"""The costs a search goes by: what was measured here before, and, if asked, what is measured now."""

from __future__ import annotations

from shoal import catalog
from shoal.cost import Costs
from shoal.fleet import Fleet
from shoal.graph import Graph
from shoal.measure import bench_path, load_table, table_path


def costs_of(graph: Graph, fleet: Fleet, *, measure: bool = True) -> Costs:
    """Costs of `graph` on `fleet`, by the `table` model."""
    del measure
    samples = (*load_table(table_path(graph.identity)).samples, *load_table(bench_path()).samples)
    costs: Costs = catalog.make("cost/models", "table").over(graph, fleet, samples)
    return costs
