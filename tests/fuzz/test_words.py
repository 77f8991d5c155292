"""What is written on the command line: quantities, rates, shapes, pins, limits, techniques with their options."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from shoal import catalog, units
from shoal.cli import options
from shoal.program.sizes import evaluate, names
from shoal.program.workload_file import rate_of
from shoal.run.throttle import way_of
from tests.fuzz.mutations import fuzzed, survives

FAMILIES = ("plan/strategies", "plan/planners", "wire/transports", "engines", "program/drivers", "cost/models")
SEEDS = (
    *("3 GiB", "100 Mbit/s", "1.5e-3 ms", "20/s", "input=1,3,224,224", "tokens=128", "h_in=h_out,initial=1"),
    *("h_in=h_out,scope=stream", "conv1=pi-0/cpu", "memory=1GiB", "latency=50ms,energy=2J", "3,1", "0.5,,0.6"),
    *(
        "tile:depth=2",
        "chain_dp:order=given",
        "stage+tile:depth=2",
        "evolve:seed=1,generations=3",
        "tcp:plain=true",
    ),
    *("onnxruntime:threads=2", "2*tokens*64", "max(tokens, 3)//2", "192.0.2.7:4711", "all", "auto", "quota"),
)
PIECES = st.one_of(
    st.sampled_from(("=", ",", ":", "+", "-", "*", "//", "(", ")", ".", " ", "/", "\0", "\ud800", "\n", "٣", "²")),
    st.sampled_from(("nan", "inf", "1e999", "1e-999", "9" * 400, "_1", "0x10", "(" * 300, "10**9", "-" * 400, "µ")),
    st.text(max_size=6),
)


@st.composite
def words(draw: st.DrawFn) -> str:
    """A text that is nearly right."""
    text = draw(st.sampled_from(SEEDS))
    for _ in range(draw(st.integers(0, 3))):
        at, cut = draw(st.integers(0, len(text))), draw(st.integers(0, 3))
        text = text[:at] + draw(PIECES) + text[at + cut :]
    return text


@given(words(), st.sampled_from(sorted(units.EXAMPLES)), st.booleans())
@fuzzed(300)
def test_a_quantity_is_refused_or_a_figure(text: str, unit: str, zero: bool) -> None:
    figure = survives(lambda: units.parse(text, unit, zero=zero))
    assert figure is None or (math.isfinite(figure) and figure >= 0)
    rate = survives(lambda: rate_of(text))
    assert rate is None or 0 < rate < math.inf


@given(words())
@fuzzed(300)
def test_an_option_is_refused_or_understood(text: str) -> None:
    survives(lambda: options.shapes_of([text]), "--shape")
    survives(lambda: options.carried_of([text]), "--carry")
    survives(lambda: options.pins_of([text, text]), "--pin")
    survives(lambda: options.limits_of([text]))
    survives(lambda: options.shares_of(text), "--shares")
    survives(lambda: way_of(text))


@given(words(), st.sampled_from(FAMILIES))
@fuzzed(200)
def test_a_technique_is_refused_or_made(text: str, family: str) -> None:
    survives(lambda: catalog.make(family, text))


@given(words(), st.integers(-(2**70), 2**70))
@fuzzed(300)
def test_a_size_is_refused_or_a_number(text: str, tokens: int) -> None:
    survives(lambda: names(text))
    size = survives(lambda: evaluate(text, {"tokens": tokens}))
    assert size is None or size >= 0
