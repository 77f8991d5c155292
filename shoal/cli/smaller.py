"""What `shoal compress` tells of a model: as values for its page and its JSON, measured here if asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.report.mixes import SmallerChoice, SmallerMix, SmallerMixes
from shoal.report.smaller import Smaller, SmallerLayer, SmallerTensor, Timing

if TYPE_CHECKING:
    from shoal.compress import Compressed, Mix, Weighed
    from shoal.graph import Graph

THIS_MACHINE = '[devices.here]\nboard = "this-machine"\n'


def described(
    found: Compressed,
    name: str,
    techniques: Sequence[str],
    timings: Sequence[Timing] = (),
    mixes: SmallerMixes | None = None,
) -> Smaller:
    """`found` as it is told."""
    layers = tuple(
        SmallerLayer(
            each.op, each.kind, each.format, each.shape, each.bits_per_weight, each.weight_qsnr_db,
            each.output_qsnr_db, each.standard, each.note,
        )
        for each in found.layers
    )  # fmt: skip
    tensors = tuple(
        SmallerTensor(each.tensor, each.layers, each.into, each.restored, each.least, each.most)
        for each in found.equalised
    )
    return Smaller(
        name, tuple(techniques), found.weights_bytes, found.stored_bytes, found.bits_per_weight,
        dict(found.output_error), layers, tuple(timings), tensors, mixes,
    )  # fmt: skip


def mixes_of(weighed: Weighed, measure: str) -> SmallerMixes:
    """What formats were chosen from, as it is told."""
    chosen = weighed.formats
    return SmallerMixes(
        measure, _mix(weighed.chosen), tuple(map(_mix, weighed.uniform())), tuple(map(_mix, weighed.frontier())),
        tuple(
            SmallerChoice(op, each.format, each.loss, each.format == chosen[op])
            for op, some in weighed.options.items()
            for each in some
        ),
    )  # fmt: skip


def _mix(mix: Mix) -> SmallerMix:
    return SmallerMix(mix.name, mix.stored_bytes, mix.loss)


def timed(before: Graph, after: Path) -> tuple[Timing, ...]:
    """Both models, each in a process of its own on one thread, in the engines that can compute on codes.

    Raises:
        WorkError: an engine cannot run one of them.
    """
    from shoal.graph import load

    smaller = load(after)
    engines = ("onnxruntime", "native") if smaller.packed else ("onnxruntime",)
    watts = _watts()
    return (
        _timing("as it was", before, "onnxruntime", watts),
        *(_timing("smaller", smaller, engine, watts) for engine in engines),
    )


def _timing(what: str, graph: Graph, engine: str, watts: float) -> Timing:
    from shoal.measure.segment import profile_whole

    found = profile_whole(graph, engine)
    return Timing(
        what, engine, found.median_s, found.low_s, found.high_s, found.resident_bytes or 0, watts * found.median_s
    )


def _watts() -> float:
    """What this machine draws with one core busy, as it is described."""
    from shoal.fleet import loads

    machine = loads(THIS_MACHINE).devices[0]
    return machine.idle_w + machine.units[0].busy_w / machine.units[0].cores
