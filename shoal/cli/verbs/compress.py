"""Make a model smaller: its weights in fewer bits."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from shoal.cli import options
from shoal.cli.mix import Mix
from shoal.units import format_bytes, format_seconds

if TYPE_CHECKING:
    from shoal.graph import Graph
    from shoal.report import Smaller

EXAMPLES = (
    "shoal compress model.onnx --with rtn:format=int8 -o smaller",
    "shoal compress model.onnx --with gptq:format=int4g64 --samples inputs.npz -o smaller",
    "shoal compress model.onnx --with gptq:format=int8 --activations int8 --samples inputs.npz -o smaller",
    "shoal compress model.onnx --with smoothquant --with rtn --activations int8 --samples inputs.npz -o smaller",
    "shoal compress model.onnx --with awq --with adaround:format=int4g64 --samples inputs.npz -o smaller",
    "shoal compress model.onnx --with gptq --mix int3g32/int4g32/int8 --bits 4.5 --samples inputs.npz -o smaller",
    "shoal compress model.onnx --with rtn --activations int8 --mix int4/int8 --max-latency 12ms --samples inputs.npz -o smaller",
    "shoal compress model.onnx --with compensate --with gptq:format=int4 --ends int8 --samples inputs.npz -o smaller",
)
MODEL_FILE, REPORT_FILE, PAGE_FILE = "model.onnx", "compress.json", "compress.html"


def command(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="an ONNX file")],
    techniques: Annotated[
        list[str],
        typer.Option(
            "--with", metavar="TECHNIQUE", help="applied one after another; the last one codes: gptq, rtn"
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FOLDER", help="for the model and a report")],
    samples: Annotated[
        Path | None, typer.Option(metavar="FILE", help="inputs to calibrate with: .npz, or .npy for one input")
    ] = None,
    ends: Annotated[
        str, typer.Option(metavar="FORMAT", help="of the first and the last layer, which lose most; none: as all")
    ] = "",
    mix: Annotated[
        str, typer.Option(metavar="FORMATS", help="int2g16/int4g16/int8: one of these for each layer, for --bits")
    ] = "",
    bits: Annotated[
        float | None,
        typer.Option(
            help="for --mix: a weight, parameters included, on average over all layers; 4.5 if nothing is limited"
        ),
    ] = None,
    max_size: Annotated[str, typer.Option(metavar="BYTES", help="for --mix: of all weights: 3MiB")] = "",
    max_latency: Annotated[
        str, typer.Option(metavar="TIME", help="for --mix: of an item on this machine, measured op by op: 12ms")
    ] = "",
    max_energy: Annotated[
        str, typer.Option(metavar="ENERGY", help="for --mix: of an item, its time at modelled power: 200mJ")
    ] = "",
    alpha: Annotated[
        float | None, typer.Option(help="for --mix: weigh loss (alpha) against latency (1 - alpha), from 0 to 1")
    ] = None,
    sensitivity: Annotated[
        str,
        typer.Option(
            metavar="MEASURE",
            help="for --mix, of what a layer loses: output, kl, masked, qsnr, crest, fisher, hessian",
        ),
    ] = "output",
    threads: Annotated[int, typer.Option(min=1, help="within an op, where latency is measured")] = 1,
    activations: Annotated[
        str,
        typer.Option(
            metavar="FORMAT",
            help="int8: round activations too, so that integer kernels run; int8-inputs: only what products read; "
            "fp8: that, to floating-point numbers, computed in float32",
        ),
    ] = "",
    data_free: Annotated[
        int, typer.Option(metavar="COUNT", min=0, help="calibrate with so many made-up inputs instead of --samples")
    ] = 0,
    skip: Annotated[list[str], typer.Option(metavar="OP", help="leave this product as it is")] = [],
    measure: Annotated[
        bool, typer.Option("--measure", help="time both models on this machine, each alone in a process")
    ] = False,
    shape: Annotated[list[str], typer.Option(metavar="NAME=SIZES", help=options.SHAPE_HELP)] = [],
    json: Annotated[bool, typer.Option("--json", help="the result as JSON on stdout")] = False,
) -> None:
    """Make a model smaller: its weights in fewer bits.

    The result is an ONNX file bound to the given shapes, its weights packed. In whole numbers of four and eight bits it is for
    every ONNX runtime; other formats have an op of shoal's, which shoal's engines know.
    """
    from shoal import catalog, codec
    from shoal.cli.smaller import described, mixes_of, timed
    from shoal.compress import FLOAT, compress, opened
    from shoal.compress import ends as ends_of
    from shoal.graph import save
    from shoal.report import write_smaller_page

    chosen = [catalog.make("compress/techniques", each) for each in techniques]
    wishes = Mix(mix, bits, max_size, max_latency, max_energy, alpha, sensitivity, ends, activations, threads)
    wishes.check()
    codec.check_writable(output / MODEL_FILE)
    with TemporaryDirectory(prefix="shoal-") as scratch:
        graph = opened(model, *options.shapes_of(shape), folder=Path(scratch))
        given = _inputs(graph, samples, data_free, model, shape)
        weighed = wishes.weighed(graph, given, skip) if mix else None
        formats = weighed.formats if weighed else ends_of(graph, ends, skip) if ends else {}
        kept = [op for op, name in formats.items() if name == FLOAT]
        coded = {op: name for op, name in formats.items() if name != FLOAT}
        found = compress(graph, chosen, given, coded, [*skip, *kept], activations)
        save(found.model, output / MODEL_FILE)
        timings = timed(graph, output / MODEL_FILE) if measure else ()
    told = described(found, model.stem, techniques, timings, mixes_of(weighed, sensitivity) if weighed else None)
    codec.save(told, output / REPORT_FILE)
    write_smaller_page(told, output / PAGE_FILE)
    if json:
        options.emit(told)
    else:
        _print(told, output)


def _inputs(
    graph: Graph, samples: Path | None, count: int, model: Path, shape: Sequence[str]
) -> Sequence[Mapping[str, Any]]:
    """What to calibrate with: from the file, or made up."""
    from shoal.errors import InputError
    from shoal.program import TensorSpec
    from shoal.run.samples import read

    if samples and count:
        raise InputError("samples are given", where="--data-free", hint="leave out one of the two")
    if samples:
        specs = {name: TensorSpec(graph.tensors[name].dtype, graph.tensors[name].shape) for name in graph.inputs}
        return read(samples, specs).inputs
    if not count:
        return ()
    from shoal.compress import made
    from shoal.graph import load

    found = made(load(model, *options.shapes_of(shape)), count)
    if found.warning:
        sys.stderr.write(f"warning: {found.warning}\n")
    return found.samples


def _print(found: Smaller, output: Path) -> None:
    table = Table("op", "kind", "format", "bits", "weights", "outputs", "in the file", box=None, pad_edge=False)
    for each in found.layers:
        seen = "-" if each.output_qsnr_db is None else f"{each.output_qsnr_db:.1f} dB"
        table.add_row(
            each.op, each.kind, each.format, f"{each.bits_per_weight:.3g}", f"{each.weight_qsnr_db:.1f} dB", seen,
            "ONNX" if each.standard else "shoal.Decode",
        )  # fmt: skip
    out = Console(highlight=False)
    out.print(table)
    out.print(
        f"\n{format_bytes(found.weights_bytes)} of weights became {format_bytes(found.stored_bytes)}, "
        f"{found.bits_per_weight:.2f} bits a weight in {len(found.layers)} layers"
    )
    if found.equalised:
        out.print(
            f"{len(found.equalised)} tensors are equalised, {found.equalised_free} of them without another op"
        )
    for name, error in found.output_error.items():
        out.print(f"{name}: off by {error:.2%} of its norm on the calibration samples")
    if any(not each.standard for each in found.layers):
        out.print(
            "what stands in the file as shoal.Decode runs on its codes in the engine 'native'; others decode it"
        )
    for timing in found.timings:
        out.print(
            f"{timing.model}, {timing.engine}: {format_seconds(timing.latency_s)}, {format_bytes(timing.resident_bytes)} of memory"
        )
    out.print(f"the model is in {output / MODEL_FILE}, what became of it in {PAGE_FILE} beside it")
