"""What the study of FP-diffusion shows of settings: tables, and each claim's figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from shoal.compress import ends, layers_of, opened, weights_of
from shoal.study._bench import Bench
from shoal.study._fp_diffusion_drawn import APART, Drawn, Outcome, outcome
from shoal.study._fp_diffusion_lab import SETTINGS, Lab, coded
from shoal.study._fp_diffusion_stored import crest
from shoal.study._frechet import frechet
from shoal.study._networks import network
from shoal.study._unet import ENDS
from shoal.study.contract import Cell, Finding, Note, Shown, Table

CLOSE = ("INT4/8 nearest", "FP4/8 nearest", "INT4/8 learned", "FP4/8 learned")  # drawn under every seed
OTHER = ("INT8/8", "FP8/8", "INT4/8 nearest", "FP4/8 nearest", "FP4/8 learned")  # of another network
ABLATED, AFFINE = "FP4/8 learned", "INT4/8 affine, learned"
OTHER_STEPS = 20  # of learning how to round another network
JUDGED = ("distance to digits", "distance to float's", "PSNR to float's, dB")


def table(run: Drawn) -> Table:
    """All settings."""
    rows: list[tuple[Cell, ...]] = [("float32", 32.0, run.plain.to_data, 0.0, None)]
    rows += [(name, each.coded.bits_per_weight, *_row(each)) for name, each in run.outcomes.items()]
    return Table(
        f"{len(run.plain.noise)} pictures of the same noise",
        ("weights/activations", "bits a weight", *JUDGED),
        rows,
        "Fréchet distances of 64 features; INT4 and FP4 have searched scales, a row's unless a tensor's is said",
    )


def seeds(runs: Sequence[Drawn]) -> Table:
    """What was drawn under every seed."""
    rows = [(name, run.plain.seed, *_row(run.outcomes[name])) for name in CLOSE for run in runs]
    return Table("Seeds of noise and calibration", ("weights/activations", "seed", *JUDGED), rows)


def eight_bits(lab: Lab, run: Drawn) -> Iterator[Shown]:
    """Eight bits against the float network, and against itself under other noise."""
    each, base, count = run.outcomes["FP8/8"], run.plain, len(run.plain.noise)
    again = lab.judge.moments(lab.pictures(lab.graph, lab.noise(2 * APART + base.seed, count)))
    noise, to_data = frechet(again, base.moments), frechet(again, lab.judge.data)
    why = f"{each.to_data:.4f} against {base.to_data:.4f}; the float network with other noise has {to_data:.4f}"
    yield Finding("fp8", 100 * abs(each.to_data / base.to_data - 1), "measured", count, why=why)
    why = f"{each.to_float:.4f} against {noise:.4f}; INT8/8 has {run.outcomes['INT8/8'].to_float:.4f}"
    yield Finding("fp8_noise", each.to_float / noise, "measured", count, why=why)


def ratio(key: str, runs: Sequence[Drawn], one: str, other: str) -> Finding:
    """Of the distances to the float network's pictures, mean over seeds."""
    pairs = [(run.outcomes[one].to_float, run.outcomes[other].to_float) for run in runs]
    means = fmean(own for own, _ in pairs), fmean(rival for _, rival in pairs)
    figure = means[0] / means[1]
    why = f"{means[0]:.4f} against {means[1]:.4f}; interval: seeds"
    return Finding(key, figure, "measured", len(runs), _around([own / rival for own, rival in pairs], figure), why)


def lead(key: str, runs: Sequence[Drawn], one: str, other: str) -> Finding:
    """In PSNR to the float network's pictures, mean over seeds."""
    pairs = [(run.outcomes[one].psnr_db, run.outcomes[other].psnr_db) for run in runs]
    means = fmean(own for own, _ in pairs), fmean(rival for _, rival in pairs)
    figure = means[0] - means[1]
    why = f"{means[0]:.2f} dB against {means[1]:.2f} dB; interval: seeds"
    return Finding(key, figure, "measured", len(runs), _around([own - rival for own, rival in pairs], figure), why)


def verdict(lab: Lab, run: Drawn, rows_db: float, tensors_db: float) -> Note:
    """Which numbers win, in words, and what the weights look like."""
    affine, symmetric = (run.outcomes[name].psnr_db for name in (AFFINE, "INT4/8 learned"))
    matrices = [weights_of(lab.graph, layer) for layer in layers_of(lab.graph) if layer.op not in ENDS]
    of_rows, of_tensors = (
        fmean(map(crest, each)) for each in (matrices, [each.reshape(1, -1) for each in matrices])
    )
    by_rows, by_tensors = ("floating-point" if each >= 0 else "whole" for each in (rows_db, tensors_db))
    return Note(
        f"In four bits with learned rounding {by_rows} numbers win by {abs(rows_db):.2f} dB at a scale a row, {by_tensors} "
        f"ones by {abs(tensors_db):.2f} dB at a scale a tensor. With a zero point a row, whole numbers have {affine:.2f} dB "
        f"instead of {symmetric:.2f} dB. The largest weight of a row is {of_rows:.2f} times its RMS, that of a tensor "
        f"{of_tensors:.2f} times: the more, the better for floating-point numbers (see int_vs_fp)."
    )


def ablation(lab: Lab, run: Drawn, near: float) -> Iterator[Shown]:
    """Calibration on the steps near pure noise alone, with as many samples."""
    usual = run.outcomes[ABLATED]
    found = outcome(lab, run.plain, SETTINGS[ABLATED], lab.samples(APART + run.plain.seed, near))
    rows = [("all", *_row(usual)), (f"first {near:.0%}", *_row(found))]
    yield Table(f"{ABLATED} by the steps that it is calibrated on", ("steps", *JUDGED), rows)
    yield Finding("ablation", usual.psnr_db - found.psnr_db, "measured", len(run.plain.noise),
                  why=f"distance to float's {usual.to_float:.4f} against {found.to_float:.4f}")  # fmt: skip


def other(bench: Bench, name: str, items: int, threads: int) -> Iterator[Shown]:
    """Another network in the same settings, its first and last layer in eight bits; raises as `network`."""
    given = network(bench, name, items)
    shapes = {each: given.graph.tensors[each].shape for each in given.graph.inputs}
    graph = opened(Path(given.graph.source), shapes, folder=bench.scratch)
    errors: dict[str, float] = {}
    rows: list[tuple[Cell, ...]] = []
    for each in bench.each(OTHER, name):
        found = coded(graph, SETTINGS[each], given.samples, ends(graph, ""), OTHER_STEPS, threads)
        errors[each] = 100 * max(found.output_error.values())
        rows.append((each, found.bits_per_weight, errors[each]))
    yield Table(f"{name}, on {given.fed}", ("weights/activations", "bits a weight", "error of answers, %"), rows,
                "relative, in the L2 norm, on what it was calibrated with")  # fmt: skip
    yield Finding("other", errors["FP8/8"], "measured", items)


def _row(each: Outcome) -> tuple[float, float, float]:
    return each.to_data, each.to_float, each.psnr_db


def _around(found: Sequence[float], figure: float) -> tuple[float, float] | None:
    return (min(*found, figure), max(*found, figure)) if len(found) > 1 else None
