"""The parts of the study of DeepSeek-V3: its configurations, the exchange between processes, errors of formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal.errors import WorkerDied
from shoal.llm import architecture
from shoal.llm.routing import Routing
from shoal.study import Finding
from shoal.study import _deepseek_v3_figures as figures
from shoal.study import _deepseek_v3_numbers as numbers
from shoal.study._deepseek_v3_exchange import Trip, exchanged
from shoal.study._deepseek_v3_worker import Rows, coded_rows, decoded
from tests.llm import configs


def test_every_expert_gets_its_tokens_and_bytes_are_those_of_the_messages(tmp_path: Path) -> None:
    routing, source = Routing(12, 3, 3, 2), np.random.default_rng(0)
    x = source.standard_normal((24, 160)).astype(np.float32)
    chosen = routing.choose(source.random((24, 12)))
    shares = source.random((24, 3)).astype(np.float16).astype(np.float32)
    trips = [Trip(chosen, shares, once) for once in (True, False)]
    for trip, found in zip(trips, exchanged(3, 2, 12, x, trips, tmp_path), strict=True):
        wanted = decoded(coded_rows(x), 160) * (shares * (chosen + 1)).sum(axis=1)[:, None]
        assert np.abs(found.made - wanted).max() <= 3e-3 * np.abs(wanted).max()
        copies = routing.crossings(chosen, np.repeat([0, 1, 2], 8), once=trip.once)
        row = 160 + 2 * 4 + (3 if trip.once else 1) * 4  # codes, two scales, experts and shares
        messages = 6 * 2 if trip.once else 6 * 4  # from each worker to one, or to all, of each other node; and back
        assert found.between_bytes == copies * (row + 2 * 160) + messages * (8 + 12 + 8)


def test_a_worker_that_dies_is_told(tmp_path: Path) -> None:
    """One cannot code its tokens; the other one hears that it left."""
    x, trip = np.ones((4, 8), np.float32), Trip(np.zeros((4, 1), np.int64), np.ones((4, 1), np.float32), True)
    x[3] = np.nan
    with pytest.raises(WorkerDied, match="a worker of the exchange failed"):
        exchanged(2, 1, 4, x, [trip], tmp_path)


def test_rows_there_and_back() -> None:
    rows = Rows(np.array([[3, 1]], np.int16), np.array([[0.5, 2]], np.float16), np.array([[7, 8, 9]], np.uint8))
    again = Rows.of(rows.message())
    for one, other in zip(vars(rows).values(), vars(again).values(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_configurations_are_the_published_ones() -> None:
    for known, published in (
        (figures.DEEPSEEK_V3, configs.DEEPSEEK_V3), (figures.QWEN_72B, configs.QWEN_72B),
        (figures.LLAMA_405B, configs.LLAMA_405B), (figures.OTHERS["Llama 3.1 8B"], configs.LLAMA_8B),
        (figures.OTHERS["Gemma 3 270M"], configs.GEMMA_270M), (figures.OTHERS["Mixtral 8x7B"], configs.MIXTRAL_8X7B),
    ):  # fmt: skip
        assert known.items() <= published.items()
        assert architecture(known).parameters == architecture(published).parameters


def test_planes_and_one_network_have_as_many_endpoints() -> None:
    shown = [*figures.networks(8, 4), *figures.exchanges(4, 1e5)]
    found = {each.key: each.obtained for each in shown if isinstance(each, Finding)}
    assert (found["endpoints_two"], found["endpoints_planes"], found["endpoints_three"]) == (32, 128, 128)
    assert found["all_to_all"] == pytest.approx(1, rel=0.1)


def test_errors_are_relative_and_an_outlier_is_left_aside() -> None:
    source = np.random.default_rng(0)
    given = [source.standard_normal((4, 256)).astype(np.float32)]
    assert numbers._error(given, "e4m3b1x128") == pytest.approx(2.6, abs=0.3)
    spoilt = [numbers._with_outlier(given[0])]
    assert 5 < numbers._error(spoilt, "e4m3b1x128", spare=True) < 8  # one tile of eight is spoilt
    assert numbers._bits(given, "logfmt8") == 8.5
    found = numbers._ends([np.where(given[0] > 1, given[0], 0)])
    assert found.obtained is True
