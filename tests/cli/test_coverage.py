"""`shoal coverage` and `shoal advise`: single leaves, the page, a failure where a promise is broken, limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_one_leaf_on_the_command_line(shoal: Any) -> None:
    found = shoal("coverage", "--leaf", "C4", "--leaf", "H2", "--html", "map.html", "--json").json
    assert [each["state"] for each in found["leaves"]] == ["covered", "missing"]
    done = shoal("coverage", "--leaf", "Z9")
    assert done.code != 0
    assert "no leaf is called 'Z9'" in done.err


def test_a_promise_that_is_broken_is_a_failure(shoal: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from shoal.kernels import ready

    monkeypatch.delattr(ready, "ready")
    done = shoal("coverage", "--leaf", "C4")
    assert done.code == 1
    assert "✘ C4" in done.out
    assert "C4: shoal.kernels.ready has no 'ready'" in done.err


def test_advice_is_what_was_built_and_timed(shoal: Any, tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    from shoal.llm.tiny import save_folder, tiny

    small = str(save_folder(tiny("llama"), tmp_path / "small"))
    found = shoal("advise", small, "--memory", "8 GB", "--token", "2 s", "--context", "64", "--json").json
    assert found["fits"]
    assert found["best"]["weights"] == "float32"
    assert 30 << 20 < found["best"]["peak_bytes"] <= 8e9
    done = shoal("advise", small, "--memory", "10 MB", "--token", "2 s", "--context", "64")
    assert done.code == 0
    assert "nothing fits; the nearest is" in done.out
