"""Traces of operators, launches and kernels: read, counted, and searched for knees and for chains to fuse."""

from shoal.measure.trace.chrome import check_clock, load_chrome
from shoal.measure.trace.fusion import LENGTHS, Chain, Fusion, best, fusions, proximity
from shoal.measure.trace.knee import GROWN, Knee, bound, knee, slope
from shoal.measure.trace.metrics import (
    HostMetrics,
    QueueMetrics,
    Share,
    covered_s,
    host_kernels,
    host_metrics,
    queue_metrics,
)
from shoal.measure.trace.nesting import with_operators, with_parents
from shoal.measure.trace.table import COLUMNS, rows, write_csv
from shoal.measure.trace.values import Kernel, Launch, Operator, Trace
from shoal.measure.trace.written import save_chrome

__all__ = [
    "COLUMNS",
    "GROWN",
    "LENGTHS",
    "Chain",
    "Fusion",
    "HostMetrics",
    "Kernel",
    "Knee",
    "Launch",
    "Operator",
    "QueueMetrics",
    "Share",
    "Trace",
    "best",
    "bound",
    "check_clock",
    "covered_s",
    "fusions",
    "host_kernels",
    "host_metrics",
    "knee",
    "load_chrome",
    "proximity",
    "queue_metrics",
    "rows",
    "save_chrome",
    "slope",
    "with_operators",
    "with_parents",
    "write_csv",
]
