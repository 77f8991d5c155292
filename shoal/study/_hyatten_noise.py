"""How much noise attention in light bears, by where it comes from and by what converts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from shoal.machines.accelerators import Array
from shoal.machines.accelerators.photonic_attention import PhotonicAttention
from shoal.study import Chart, Finding, Series, Shown, Table
from shoal.study._hyatten_lit import Vision
from shoal.study._hyatten_network import Network
from shoal.study._hyatten_text import cosines

AXIS = "times the noise assumed"
SPLIT, EIGHT, FOUR = "split at 4 bits", "converters of 8 bits", "converters of 4 bits"


def noise(read: Network, seen: Vision, machine: PhotonicAttention, times: Sequence[float]) -> Iterator[Shown]:
    """Both deviations, `times` those of the machine, and each alone: embeddings and accuracy."""
    exact = read.exact()
    cosine = _curves(read, machine, times, lambda found: float(cosines(exact, found).mean()))
    right = _curves(seen.network, machine, times, seen.right_percent)
    lost = max(eight - split for eight, split in zip(right[EIGHT], right[SPLIT], strict=True))
    yield Finding("robust", lost, "simulated", len(times), why=f"noise up to {max(times):g} times that assumed")
    for title, curves in (("Noise: right answers of the vision transformer, %", right),
                          ("Noise: mean cosine of MiniLM's embeddings with float32's", cosine)):  # fmt: skip
        yield Table(title, (AXIS, *curves), list(zip(times, *curves.values(), strict=True)), note=_assumed(machine))
        series = tuple(Series(name, times, values) for name, values in curves.items())
        yield Chart(title, AXIS, title.partition(": ")[2], series)


def _curves(
    network: Network, machine: PhotonicAttention, times: Sequence[float], judged: Callable[[Array], float]
) -> dict[str, list[float]]:
    machines = {SPLIT: machine, EIGHT: replace(machine, low_bits=8), FOUR: replace(machine, low_bits=4, high_bits=4),
                "split, noise of encoding alone": replace(machine, additive_noise=0.0),
                "split, noise of receivers alone": replace(machine, encoding_noise=0.0)}  # fmt: skip
    return {
        name: [judged(network.lit(_louder(each, factor))[0]) for factor in times] for name, each in machines.items()
    }


def _louder(machine: PhotonicAttention, times: float) -> PhotonicAttention:
    return replace(
        machine, encoding_noise=times * machine.encoding_noise, additive_noise=times * machine.additive_noise
    )


def _assumed(machine: PhotonicAttention) -> str:
    return (f"assumed: {100 * machine.encoding_noise:g} % of a sum, from encoding, and {100 * machine.additive_noise:.2g} % of "
            "full scale, from receivers; standard deviations")  # fmt: skip
