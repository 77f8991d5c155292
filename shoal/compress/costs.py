"""What each layer costs in each format on this machine: one op at a time, measured, equal ops once.

For every distinct signature (kind, shapes, strides, groups …) and format a model of that one op is written as the engine
would run it, with the activation function that is part of it: codes of weights before the product, codes of activations
around it. Copies of the op follow one another in it, so that weights are read from as far away as in the network.
What is no layer is measured together, as the rest. Source: OHQ, arXiv 2309.01945.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from shoal import catalog
from shoal.compress._probes import FLOAT, Rest, Unit, kernel_of, units_of, write
from shoal.compress.layers import Layer
from shoal.errors import InputError, WorkError
from shoal.formats import make
from shoal.graph import Graph
from shoal.measure import Spread, Timed, Timing, cores_for, time_files

# onnxruntime's nodes between layouts: a convolution among its like has none, one alone has them on both sides.
LAYOUTS = ("ReorderInput", "ReorderOutput", "Transpose")
CHUNK_BYTES = 1 << 30  # of files that wait to be timed
CODED = "8 bits"  # the kernel of convolutions on codes


@dataclass(frozen=True)
class OpCost:
    """One op in one format."""

    time_s: float  # median
    iqr_s: float
    bytes: int  # of its weights as the format packs them
    energy_j: float  # time × modelled power
    repeats: int = 0


@dataclass(frozen=True)
class Costs:
    """The table of a network on a machine."""

    table: Mapping[str, Mapping[str, OpCost]]  # by signature, by format
    signatures: Mapping[str, str]  # of layers, by op
    rest: OpCost  # all that is no layer
    activations: str  # "int8": around everything; "": float32
    threads: int
    power_w: float

    def of(self, op: str, name: str) -> OpCost:
        """A layer in a format.

        Raises:
            InputError: it was not measured.
        """
        row = self.table.get(self.signatures.get(op, ""), {})
        if name not in row:
            raise InputError("was not measured", where=op, needed=name, had=", ".join(row) or "nothing")
        return row[name]

    def latency_s(self, formats: Mapping[str, str]) -> float:
        """Of the whole network: the sum over its layers, those not named in float32, and the rest."""
        each = (self.of(op, formats.get(op, FLOAT)).time_s for op in self.signatures)
        return self.rest.time_s + sum(each)

    def energy_j(self, formats: Mapping[str, str]) -> float:
        """Of the whole network: time × modelled power."""
        return self.latency_s(formats) * self.power_w


def measured(
    graph: Graph,
    formats: Sequence[str],
    activations: str = "",
    *,
    engine: str = "onnxruntime",
    threads: int = 1,
    cores: Sequence[int] | None = None,
    power_w: float | None = None,
    repeats: int = 30,
    most_s: float = 0.2,
) -> Costs:
    """Measure the layers of `graph` in the formats, and as they are, in a process of its own.

    Args:
        graph: as `compress` takes it.
        formats: names; whole numbers run as codes, others as float32, as in the compressed model.
        activations: "int8": rounded around everything that has kernels on codes; "": float32.
        engine: that runs them: "onnxruntime", or "native" for products on packed codes.
        threads: within an op.
        cores: to run on; none: as many of the last ones as there are threads.
        power_w: of the machine at work; none: as the meter `model` has it.
        repeats: the median is of so many runs,
        most_s: or of those within so many seconds.

    Raises:
        InputError: an unknown format.
        WorkError: an op cannot be run, or the process died.
    """
    power = modelled_power_w(threads) if power_w is None else power_w
    every = tuple(dict.fromkeys((FLOAT, *formats)))
    units, rest = units_of(graph, activations)
    timed: dict[tuple[str, str], Spread] = {}
    with TemporaryDirectory(prefix="shoal-costs-") as folder:
        jobs = _jobs(graph, units, rest, every, activations, engine, Path(folder))
        for some in _chunks(jobs):
            files = tuple(job.file for job in some)
            found = time_files(Timing(files, threads, tuple(cores or cores_for(threads)), repeats, most_s))
            for job, each, fault in zip(some, found.spreads, found.faults, strict=True):
                if fault:
                    raise WorkError(f"cannot be measured as {job.kernel}: {fault}", where=job.unit.ops[0])
                timed[job.unit.signature, job.kernel] = _of_one(each, job.copies)
                Path(job.file.path).unlink()
    table = {
        unit.signature: {
            name: _cost(
                timed[unit.signature, kernel_of(unit.layer, name, engine)], stored_bytes(unit.layer, name), power
            )
            for name in every
            if fits(unit.layer, name)
        }
        for unit in units
    }
    others = _cost(timed[rest.signature, FLOAT], 0, power) if rest else OpCost(0.0, 0.0, 0, 0.0)
    signatures = {unit.layer.op: unit.signature for unit in units}
    return Costs(table, signatures, others, activations, threads, power)


def modelled_power_w(threads: int) -> float:
    """Of a machine with so many cores at work, by the meter `model`."""
    meter = catalog.make("measure/meters", "model")
    return float(meter.idle_w + meter.core_w * threads)


def fits(layer: Layer, name: str) -> bool:
    """Whether the format's groups divide the layer's columns."""
    return name == FLOAT or not (make(name).group > 0 and layer.shape[1] % make(name).group)


def stored_bits(layer: Layer, name: str) -> int:
    """What the layer's weights take in the format, parameters included."""
    if name == FLOAT:
        return 32 * layer.shape[0] * layer.shape[1]
    return make(name).stored_bits((layer.shape[0] // layer.groups, layer.shape[1])) * layer.groups


def stored_bytes(layer: Layer, name: str) -> int:
    """See `stored_bits`."""
    return stored_bits(layer, name) // 8


@dataclass(frozen=True)
class _Job:
    unit: Unit | Rest
    kernel: str
    copies: int
    file: Timed


def _jobs(
    graph: Graph,
    units: Sequence[Unit],
    rest: Rest | None,
    formats: Sequence[str],
    activations: str,
    engine: str,
    folder: Path,
) -> Iterator[_Job]:
    """A file for each distinct signature and kernel; the rest comes last."""
    for unit in {unit.signature: unit for unit in units}.values():
        fitting = [name for name in formats if fits(unit.layer, name)]
        kernels = {kernel_of(unit.layer, name, engine): name for name in reversed(fitting)}
        for number, (kernel, name) in enumerate(kernels.items()):
            path = folder / f"{unit.signature}-{number}.onnx"
            copies = write(graph, unit, name, path, graph.weights_bytes, engine)
            alike = unit.layer.kind == "Conv" and (kernel == CODED or not activations)  # as its neighbours
            layouts = LAYOUTS if alike else ()
            yield _Job(unit, kernel, copies, Timed(str(path), layouts, engine=engine if kernel != FLOAT else ""))
    if rest is not None:
        path = folder / "rest.onnx"
        yield _Job(rest, FLOAT, write(graph, rest, FLOAT, path, 0), Timed(str(path)))


def _chunks(jobs: Iterator[_Job]) -> Iterator[list[_Job]]:
    """Jobs whose files together are not too large."""
    some, size = list[_Job](), 0
    for job in jobs:
        some.append(job)
        size += Path(job.file.path).stat().st_size
        if size >= CHUNK_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


def _of_one(found: Spread, copies: int) -> Spread:
    return Spread(found.low_s / copies, found.median_s / copies, found.high_s / copies, found.repeats)


def _cost(found: Spread, size: int, power_w: float) -> OpCost:
    return OpCost(found.median_s, found.high_s - found.low_s, size, found.median_s * power_w, found.repeats)
