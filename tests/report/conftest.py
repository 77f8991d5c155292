"""A synthetic run with realistic figures: a pipeline of unlike boards, its spans, its prediction, its front."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from shoal.record import DeviceFigures, FrontPoint, Outline, Prediction, Run, Span, Trace

MIB = 2**20
UNITS = ("pi-0/cpu", "nano/gpu", "nano/cpu", "laptop/cpu")
STAGE_S = (0.0412, 0.0395, 0.0104, 0.0287)  # seconds an item, by unit
HOP_S = (0.0121, 0.0009, 0.0064)  # transfers between neighbours
HOP_BYTES = (401_408, 200_704, 100_352)


def outline(count: int = 120, units: tuple[str, ...] = UNITS) -> Outline:
    """A residual network: a chain in blocks of six ops with a branch around each block."""
    kinds = tuple(("Conv", "Relu", "Conv", "Relu", "Conv", "Add")[i % 6] for i in range(count))
    arrows = [(i, i + 1) for i in range(count - 1)]
    arrows += [(i - 6, i) for i in range(11, count, 6)]
    return Outline(
        ops=tuple(f"layer{i // 6}.op{i % 6}" for i in range(count)),
        kinds=kinds,
        macs=tuple(30_000_000 // (1 + i // 30) if kinds[i] == "Conv" else 0 for i in range(count)),
        units=tuple(units[min(i * len(units) // max(1, count), len(units) - 1)] for i in range(count)),
        arrows=tuple(arrows),
    )


def pipeline_spans(items: int, window: int) -> tuple[list[Span], tuple[float, ...]]:
    """Spans of `items` through the units in order, at most `window` in flight; and each item's latency."""
    free = [0.0] * len(UNITS)
    done: list[float] = []
    spans, latencies = [], []
    for item in range(items):
        time = started = done[item - window] if item >= window else 0.0
        for index, unit in enumerate(UNITS):
            begin = max(time, free[index])
            took = STAGE_S[index] * (1 + 0.04 * ((item * 7 + index * 3) % 5 - 2))
            started = begin if index == 0 else started
            free[index] = time = begin + took
            spans.append(Span("run", unit, f"segment {index}", item, begin, time, joules=took * 4.2))
            if index < len(HOP_S):
                end = time + HOP_S[index]
                spans.append(
                    Span("transfer", unit, f"{unit} → {UNITS[index + 1]}", item, time, end, HOP_BYTES[index])
                )
                time = end
        done.append(time)
        latencies.append(time - started)
    return spans, tuple(latencies)


def devices(items: int) -> dict[str, DeviceFigures]:
    return {
        "pi-0": DeviceFigures(
            0.0412 * items,
            0.1601 * items,
            0.211 * items,
            96 * MIB,
            121 * MIB,
            31 * MIB,
            HOP_BYTES[0] * items,
            0,
            ("pi-0/cpu",),
        ),
        "nano": DeviceFigures(
            0.0499 * items,
            0.0601 * items,
            0.483 * items,
            188 * MIB,
            240 * MIB,
            52 * MIB,
            HOP_BYTES[2] * items,
            HOP_BYTES[0] * items,
            ("nano/gpu", "nano/cpu"),
        ),
        "laptop": DeviceFigures(
            0.0287 * items,
            0.0820 * items,
            0.655 * items,
            141 * MIB,
            170 * MIB,
            24 * MIB,
            0,
            HOP_BYTES[2] * items,
            ("laptop/cpu",),
        ),
    }


def prediction() -> Prediction:
    return Prediction(
        period_s=0.0405,
        latency_s=0.151,
        alone_latency_s=0.138,
        energy_j={"pi-0": 0.204, "nano": 0.502, "laptop": 0.611},
        memory_bytes={"pi-0": 118 * MIB, "nano": 251 * MIB, "laptop": 166 * MIB},
        sent_bytes={"pi-0": HOP_BYTES[0], "nano": HOP_BYTES[2], "laptop": 0},
        busy_s={"pi-0": 0.0405, "nano": 0.0488, "laptop": 0.0301},
    )


def front() -> tuple[FrontPoint, ...]:
    return tuple(
        FrontPoint(
            f"plan {i}",
            0.09 + 0.011 * i,
            11 + 2.2 * i**0.8,
            1.4 / (1 + 0.15 * i),
            int(420 * MIB / (1 + 0.1 * i)),
            chosen=i == 7,
        )
        for i in range(14)
    )


def build(items: int = 200, window: int = 4, **changes: object) -> Run:
    """A run of `items`; `changes` replace its fields."""
    spans, latencies = pipeline_spans(items, window)
    provenance = {
        "period_s": "emulated",
        "latency_s": "emulated",
        "busy_s": "emulated",
        "cpu_s": "measured",
        "energy_j": "modelled",
        "resident_bytes": "measured",
        "peak_bytes": "measured",
        "weights_bytes": "measured",
        "sent_bytes": "measured",
        "received_bytes": "measured",
    }
    run = Run(
        name="four boards on one wire",
        model="resnet50-v1-12",
        items=items,
        window=window,
        period_s=0.0416,
        latencies_s=latencies,
        devices=devices(items),
        provenance=provenance,  # type: ignore[arg-type]  # literals held as plain text here
        spans=tuple(spans),
        spans_dropped=0,
        outline=outline(),
        prediction=prediction(),
        output_digests={0: "00" * 32},
        outputs_match=True,
        max_abs_difference=2.1e-6,
        reference_magnitude=1.2,
        late_share=0.002,
        trace=Trace(),
        seed=1,
        versions={"shoal": "0.1.0", "onnxruntime": "1.22.0", "python": "3.11.2"},
        started_at="2025-03-01T12:30:00+00:00",
        notes=("Two workers share one core of this machine; CPU time is the sum over threads.",),
        front=front(),
    )
    return replace(run, **changes)  # type: ignore[arg-type]  # the caller names fields of Run


ODD: dict[str, Callable[[], Run]] = {
    "no spans": lambda: build(spans=(), spans_dropped=900),
    "one item": lambda: build(items=1, period_s=0.0),
    "no prediction": lambda: build(prediction=None, front=()),
    "not compared": lambda: build(
        outputs_match=None, max_abs_difference=None, reference_magnitude=None, late_share=None
    ),
    "differs": lambda: build(outputs_match=False, max_abs_difference=0.3),
    "nothing known": lambda: build(
        items=0,
        window=1,
        period_s=0.0,
        latencies_s=(),
        devices={},
        provenance={},
        spans=(),
        prediction=None,
        outline=Outline((), (), (), (), ()),
        output_digests={},
        outputs_match=None,
        max_abs_difference=None,
        reference_magnitude=None,
        late_share=None,
        versions={},
        started_at="",
        notes=(),
        front=(),
    ),
    "bare devices": lambda: build(devices={"a": DeviceFigures(0.0, None, 0.0, None, None, 0, 0, 0)}),
    "not numbers": lambda: build(latencies_s=(float("nan"), 0.1), period_s=float("nan")),
    "many devices": lambda: build(
        devices={f"board-with-a-long-name-{i}": had for i in range(7) for had in devices(200).values()},
        prediction=None,
    ),
    "large graph": lambda: build(outline=outline(600)),
    "one op": lambda: build(outline=outline(1)),
}


@pytest.fixture
def run() -> Run:
    return build()


@pytest.fixture(params=ODD)
def odd_run(request: pytest.FixtureRequest) -> Run:
    return ODD[request.param]()


@pytest.fixture
def odd_nothing() -> Run:
    return ODD["nothing known"]()
