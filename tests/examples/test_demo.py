"""The demo, as `make demo` runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal import codec
from shoal.record import Run

pytest.importorskip("PIL")
from examples import demo  # needs Pillow


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_demo_names_the_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo.main(tmp_path) == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("espresso", "tripod", "daisy"))
    found = codec.load(Run, tmp_path / "run.json")
    assert found.outputs_match
    assert set(found.provenance.values()) >= {"emulated"}
    assert "<html" in (tmp_path / "report.html").read_text()
