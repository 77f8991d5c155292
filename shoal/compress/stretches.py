"""A model run a stretch of ops at a time, so that only so much of its weights is loaded at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from shoal.engines import onnxruntime_form
from shoal.graph import access, decode, excerpt, save, shelved

if TYPE_CHECKING:
    import onnx_ir as ir

MOST_BYTES = 16 << 20  # of weights in one stretch, as float32; onnxruntime takes up to three times that


def answers(
    model: ir.Model,
    names: Sequence[str],
    samples: Sequence[Mapping[str, NDArray[Any]]],
    threads: int = 1,
    most_bytes: int = MOST_BYTES,
) -> list[dict[str, NDArray[Any]]]:
    """What onnxruntime answers to each sample, codes that it does not know decoded.

    Args:
        model: of one stretch or many; its values are bound to shapes.
        names: of its outputs.
        samples: inputs by name.
        threads: of a run.
        most_bytes: of weights that are loaded at once.
    """
    kept = [dict(sample) for sample in samples]
    several = list(stretches(model, most_bytes))
    for number, nodes in enumerate(several):
        later = {value.name for rest in several[number + 1 :] for node in rest for value in node.inputs if value}
        _run(excerpt(model, nodes), kept, threads)
        for values in kept:
            for name in values.keys() - later - set(names):
                del values[name]
    return [{name: values[name] for name in names} for values in kept]


def _run(part: ir.Model, kept: Sequence[dict[str, NDArray[Any]]], threads: int) -> None:
    """Add to the values of each sample what a stretch makes of them."""
    with TemporaryDirectory(prefix="shoal-") as folder:
        session = session_of(part, Path(folder) / "stretch.onnx", threads)
        inputs, outputs = ([each.name for each in ends] for ends in (session.get_inputs(), session.get_outputs()))
        for values in kept:
            found = session.run(outputs, {name: values[name] for name in inputs})
            values.update((name, shelved(each)) for name, each in zip(outputs, found, strict=True))


def stretches(model: ir.Model, most_bytes: int) -> Iterator[list[ir.Node]]:
    """The ops in order, a new stretch where the weights of one would be more; what decodes stays with what follows it."""
    nodes: list[ir.Node] = []
    waiting: list[ir.Node] = []  # those that read nothing but weights
    size = 0
    for node in model.graph:
        waiting.append(node)
        if _lone(node):
            continue
        more = sum(map(_bytes, waiting))
        if nodes and size + more > most_bytes:
            yield nodes
            nodes, size = [], 0
        nodes, size, waiting = nodes + waiting, size + more, []
    if nodes or waiting:
        yield nodes + waiting


def session_of(model: ir.Model, path: Path, threads: int) -> Any:
    """onnxruntime's session of the model; activations that meet coded weights stay in float32.

    Args:
        model: of the caller alone: it is changed.
        path: of a file for it, which has to be there for as long as the session.
        threads: of a run.
    """
    import onnxruntime

    save(onnxruntime_form(model, accuracy=1), path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _lone(node: ir.Node) -> bool:
    return all(value is None or value.const_value is not None for value in node.inputs)


def _bytes(node: ir.Node) -> int:
    """Of the weights that an op brings into memory: of one that decodes, what it gives."""
    if decode.is_decode(node):
        return 4 * prod(node.attributes["shape"].as_ints())
    return sum(
        4 * prod(access.dims(value)) for value in node.inputs if value is not None and value.const_value is not None
    )
