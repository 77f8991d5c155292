"""The study of state-space models: models of one size, public ones as published, boards without running anything."""

from __future__ import annotations

import pytest

from shoal.llm import architecture
from shoal.llm.profile import Point, Timed
from shoal.measure import Spread
from shoal.study import Finding
from shoal.study._ssm_boards import scan_efficiency, simulated
from shoal.study._ssm_exact import refused
from shoal.study._ssm_measured import Measured, latency, sizes
from shoal.study._ssm_models import PAIRS, matched

NAMES = ("llama", "mamba2", "mamba2-chunked", "bamba", "bamba-chunked")


@pytest.mark.parametrize(("width", "layers"), [(64, 4), (128, 4), (32, 4), (128, 8)])
def test_models_have_as_many_weights(width: int, layers: int) -> None:
    found = sizes(matched(width, layers, 64, NAMES)).obtained
    assert found is not None
    assert found <= 5


def test_public_models_have_as_many_weights_as_published() -> None:
    wanted = {"Qwen2.5 0.5B": 494_032_768, "Qwen2.5 1.5B": 1_543_714_304, "Llama 3.2 1B": 1_235_814_400,
              "Llama 3.2 3B": 3_212_749_824}  # fmt: skip
    for pair in PAIRS:
        name, entries = pair.attending
        assert architecture(entries).parameters == wanted[name]
        name, entries = pair.scanning
        told = float(name.split()[1][:-1]) * {"B": 1e9, "M": 1e6}[name[-1]]
        assert architecture(entries).parameters == pytest.approx(told, rel=0.04)


def test_boards_are_simulated_from_their_data_sheets() -> None:
    found = {each.key: each for each in simulated() if isinstance(each, Finding)}
    assert set(found) == {"context_card", "ttft_card", "short_card", "energy_card", "memory_card", "share_edge"}
    assert {each.provenance for each in found.values()} == {"modelled", "simulated"}
    assert 0 < scan_efficiency() < 0.5


def test_what_must_be_refused_is() -> None:
    assert refused(64, 4, 64).obtained is True


def test_slopes_and_growth_of_made_up_times() -> None:
    subjects, lengths = matched(64, 4, 64, NAMES[:3]), (100, 200, 400)
    growth = {"llama": 2, "mamba2": 1, "mamba2-chunked": 1}
    timed = tuple(
        Timed(name, Point(at), _spread(at**power / 1e4), _spread(1e-3 * (at / 100) ** (power - 1)))
        for at in lengths for name, power in growth.items()
    )  # fmt: skip
    found = {
        each.key: each.obtained for each in latency(Measured(subjects, lengths, timed)) if isinstance(each, Finding)
    }
    assert found["slope_attention"] == pytest.approx(2)
    assert found["slope_scan"] == pytest.approx(1)
    assert found["decode_attention"] == pytest.approx(4)
    assert found["decode_scan"] == pytest.approx(0, abs=1e-9)
    assert found["long"] == pytest.approx(400)


def _spread(seconds: float) -> Spread:
    return Spread(seconds, seconds, seconds, 5)
