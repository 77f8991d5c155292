"""What the bench gives studies, with a real network and a real run."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal import cache
from shoal.errors import FleetError, InputError
from shoal.study._bench import opened

FLEET = """
    [devices.pi]
    board = "raspberry-pi-4b-4gb"
    count = 2
    [default_link]
    bandwidth = "1 Gbit/s"
    latency = "0.2 ms"
"""


def test_model_plan_simulation_and_run() -> None:
    heard: list[str] = []
    with opened(3, heard.append) as bench:
        model = bench.model("squeezenet")
        assert bench.model("squeezenet").ref == model.ref
        plan = bench.front(
            model, bench.fleet(FLEET), "throughput", profile=False, items=8, engines=("onnxruntime",)
        ).plan
        assert len(plan.units) == 2
        simulated = bench.simulate(plan, items=8)
        run = bench.run(plan, items=3, over="memory")
        assert (simulated.items, run.items) == (8, 3)
        assert run.outputs_match
        assert run.seed == 3
        (bench.scratch / "file").write_text("")
    assert not bench.scratch.exists()


def test_another_seed_is_another_model() -> None:
    with opened(0, lambda _: None) as first, opened(1, lambda _: None) as second:
        assert first.model("squeezenet").ref.sha256 != second.model("squeezenet").ref.sha256


def test_each_announces_what_it_gives() -> None:
    heard: list[str] = []
    with opened(0, heard.append) as bench:
        assert list(bench.each(("a", "b"), "model")) == ["a", "b"]
    assert [line.split("s  ")[1] for line in heard] == ["model 1/2: a", "model 2/2: b"]


def test_mistakes_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    with opened(0, lambda _: None) as bench:
        with pytest.raises(InputError, match="no light model is called 'squeeznet'") as caught:
            bench.model("squeeznet")
        assert caught.value.hint == "did you mean 'squeezenet'?"
        with pytest.raises(FleetError, match="the study's fleet"):
            bench.fleet("[devices.pi]\nboard = 'no-such-board'\n")
        empty = tmp_path_factory.mktemp("empty")
        monkeypatch.setattr("shoal.study._bench._light_folder", lambda: empty)
        with pytest.raises(InputError, match="lacks its light models"):
            bench.light("squeezenet")


def test_a_spare_cache_leaves_nothing(cache_folder: Path) -> None:
    with opened(0, lambda _: None) as bench, bench.spare_cache():
        assert cache.folder("written") != cache_folder / "written"
        cache.entry("written", "a", lambda folder: None)
        spare = cache.folder("written")
        assert spare.exists()
    assert not spare.exists()
    assert cache.folder("written") == cache_folder / "written"
