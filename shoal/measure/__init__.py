"""What this machine can do and what a model costs here: probes, benches, meters and profiles, kept as Samples."""

from shoal.measure.machine import installed_engines, machine_id
from shoal.measure.subject import bench_rate, bench_subject, op_subject, segment_subject
from shoal.measure.table import Table, bench_path, table_path
from shoal.measure.table import load as load_table

__all__ = [
    "Table",
    "bench_path",
    "bench_rate",
    "bench_subject",
    "installed_engines",
    "load_table",
    "machine_id",
    "op_subject",
    "segment_subject",
    "table_path",
]
