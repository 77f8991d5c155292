"""What this machine can do and what a model costs here: probes, benches, meters and profiles, kept as Samples."""

from shoal.measure.checked import LinkReport, check_hosts, check_shaped, checked
from shoal.measure.clocked import Spread, clocked, spread
from shoal.measure.kernels import Sizes, drawn_matrix, drawn_works, sample_kernels
from shoal.measure.link import LinkFigures, measure_link
from shoal.measure.machine import installed_engines, machine_id
from shoal.measure.probe import bench_samples, kept_benches, probe
from shoal.measure.profile import profile_ops
from shoal.measure.segment import profile_segment
from shoal.measure.subject import bench_rate, bench_subject, handling_subject, op_subject, segment_subject
from shoal.measure.table import Table, bench_path, handling_path, table_path
from shoal.measure.table import load as load_table
from shoal.measure.timing import Timed, Timing, Timings, cores_for, time_files

__all__ = [
    "LinkFigures",
    "LinkReport",
    "Sizes",
    "Spread",
    "Table",
    "Timed",
    "Timing",
    "Timings",
    "bench_path",
    "bench_rate",
    "bench_samples",
    "bench_subject",
    "check_hosts",
    "check_shaped",
    "checked",
    "clocked",
    "cores_for",
    "drawn_matrix",
    "drawn_works",
    "handling_path",
    "handling_subject",
    "installed_engines",
    "kept_benches",
    "load_table",
    "machine_id",
    "measure_link",
    "op_subject",
    "probe",
    "profile_ops",
    "profile_segment",
    "sample_kernels",
    "segment_subject",
    "spread",
    "table_path",
    "time_files",
]
