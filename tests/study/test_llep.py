"""The parts of the study of LLEP: forced routing, its reference, the simulated devices."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.cost.expert_layer import Accelerator
from shoal.study import Finding
from shoal.study import _llep_forced as forced
from shoal.study import _llep_simulated as simulated
from tests.llm.expert_parallel.layers import alone, experts, tokens


def test_forced_routing_has_its_share() -> None:
    layer, source = forced.Layer(32, 8, 8, 20_000), np.random.default_rng(0)
    for per_cent, hot in forced.SKEWS:
        chosen = forced.forced(layer, per_cent, hot, source)
        wanted = per_cent / 100 + (1 - per_cent / 100) * hot / 32
        assert (chosen < hot).mean() == pytest.approx(wanted, abs=0.02)


def test_the_reference_is_the_sum_token_by_token() -> None:
    held, (x, chosen, gates) = experts(5), tokens(5, 12)
    chosen[3] = 2  # twice the same
    np.testing.assert_allclose(
        forced.one_process(held, x, chosen, gates), alone(held, x, chosen, gates), atol=1e-12
    )


def test_even_routing_gains_nothing_and_a_slow_link_takes_the_gain_away() -> None:
    found = _figures(Accelerator())
    assert found["simulated_even"] == 1
    assert found["simulated_low"] > 3
    assert _figures(Accelerator(link_bytes_per_s=1e9))["simulated_low"] < found["simulated_low"]


def test_more_context_makes_experts_count_less() -> None:
    short, long = (next(iter(_of(simulated.whole(Accelerator(), 1024, context, 0)))) for context in (1024, 131_072))
    assert 1 < float(long.obtained or 0) < float(short.obtained or 0)


def _figures(device: Accelerator) -> dict[str, float]:
    return {each.key: float(each.obtained or 0) for each in _of(simulated.layers(device, 1024, 0))}


def _of(shown: object) -> list[Finding]:
    return [each for each in shown if isinstance(each, Finding)]  # type: ignore[attr-defined]
