"""The study of SN40L: losses by the router's choice, who comes next, mixes of requests, tiles of groups."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from shoal.llm.composition.router import learned
from shoal.llm.composition.served import write_experts
from shoal.llm.composition.texts import Text
from shoal.llm.tiny.llama import llama
from shoal.sim.composition import bursty
from shoal.store import FileTier
from shoal.study import Bench, Finding, Table
from shoal.study._sn40l_fusion import EDGE, fusing
from shoal.study._sn40l_graphs import SMALL, decoder
from shoal.study._sn40l_mixes import HELD, WAYS, foresight, mixes
from shoal.study._sn40l_served import Small, _losses, routed
from shoal.study._sn40l_tiles import TILES, _case, tiled
from shoal.train.language import Decoder

pytest.importorskip("torch")
pytest.importorskip("transformers")

NAMES = ("documents", "b", "c", "d")
DECODER = Decoder(width=16, layers=1, heads=2, hidden=24, context=128)


def text(at: int) -> Text:
    row = np.frombuffer((b"0123 ", b"abcd ", b"WXYZ!", b"<> [] ")[at] * 1000, np.uint8)
    return Text(row, row)


@pytest.fixture
def small(tmp_path: Path) -> Small:
    models = {}
    for seed, name in enumerate(NAMES):
        rng = np.random.default_rng(seed)
        weights = {each: rng.normal(0, 0.3, shape).astype(np.float32) for each, shape in DECODER.shapes().items()}
        models[name] = llama(DECODER, weights)
    texts, path = {name: text(at) for at, name in enumerate(NAMES)}, tmp_path / "experts.store"
    write_experts(models, path)
    tier = FileTier(path)
    size = max(each.bytes for each in tier.records.values())
    tier.close()
    router = learned({name: each.learned for name, each in texts.items()}, "documents", each=20)
    return Small(texts, models, router, path, size)


def test_losses_of_a_router_that_is_right_are_those_of_each_kinds_expert(small: Small) -> None:
    alone = {"one": small.models["b"], "large": small.models["c"]}
    table, *found = _losses(small.texts, small.models, alone, small.router, 4)
    assert isinstance(table, Table)
    assert all(row[1] == pytest.approx(row[2]) for row in table.rows)  # all of the router's choices are right here
    by = {each.key: each.obtained for each in found if isinstance(each, Finding)}
    assert by["routing"] == pytest.approx(1)
    means = np.array([row[1:] for row in table.rows], np.float64).mean(axis=0)
    assert by["loss"] == pytest.approx(means[0] / means[2])
    assert by["equal_bytes"] == pytest.approx(means[0] / means[3])


def test_who_went_where_adds_up(small: Small) -> None:
    table, router, default = routed(small, 5, 0)
    assert isinstance(table, Table)
    for at, row in enumerate(table.rows):
        assert row[1 + at] == pytest.approx(100)
        assert sum(float(each or 0) for each in row[1 : 1 + len(NAMES)]) == pytest.approx(100)
    assert isinstance(router, Finding)
    assert router.obtained == 100
    assert isinstance(default, Finding)


def test_who_comes_next_is_the_likeliest_other() -> None:
    wanted = np.array([0, 1, 0, 1, 0, 2, 0, 1, 1, 1, 2, 3, 2, 3], np.int64)
    guess = foresight(NAMES, wanted)
    assert [guess(name) for name in NAMES] == ["b", "documents", "d", "c"]
    assert all(foresight(NAMES, bursty(4, 200, 0.9, seed))(name) != name for seed in range(3) for name in NAMES)


def test_mixes_run_on_a_real_store(small: Small, tmp_path: Path) -> None:
    table, hits, oracle = mixes(small, 1, 8, Bench(tmp_path, 0, lambda _: None))
    assert isinstance(table, Table)
    assert len(table.rows) == 3 * len(WAYS)
    assert isinstance(hits, Finding)
    assert hits.obtained == 0
    assert isinstance(oracle, Finding)
    assert oracle.obtained is not None
    assert oracle.obtained <= 1
    assert len(NAMES) > HELD


def test_groups_run_tile_by_tile(tmp_path: Path) -> None:
    graph = decoder(SMALL, 2, 32, 64, tmp_path, half=False)
    chip = replace(EDGE, tiles=TILES, sram_bytes=128 << 10)
    case = _case("a decoder", graph, chip, Bench(tmp_path, 0, lambda _: None))
    assert len(case.streamed) > 1
    assert case.off <= 1e-6
    assert case.passing > 5 * case.held
    assert case.ran.peak_bytes < case.whole.peak_bytes
    assert 0 < case.within <= 1
    assert list(case.ran.inside_bytes) == [each.buffer_bytes(graph) for each in case.streamed]


@pytest.mark.slow
def test_tiles_answer_their_claims(tmp_path: Path) -> None:
    found = list(tiled(Bench(tmp_path, 0, lambda _: None), "squeezenet"))
    assert {each.key for each in found if isinstance(each, Finding)} == {"tiles", "tile_bytes", "tile_plan"}
    stops = found[1]
    assert isinstance(stops, Table)
    assert all(row[4] and row[5] for row in stops.rows)  # by name, and why


@pytest.mark.slow
def test_fusing_answers_its_claims(tmp_path: Path) -> None:
    keys = {
        each.key
        for each in fusing(Bench(tmp_path, 0, lambda _: None), 5e-6, "squeezenet", True)
        if isinstance(each, Finding)
    }
    assert keys == {"fusion", "fourier", "limits", "bytes", "addresses", "tiled", "tensors"}
