from __future__ import annotations

import csv
import io
from pathlib import Path

from rich.console import Console

from shoal.record import SplitFigures, SplitFront, SplitRepeat, Twin
from shoal.report import csv_text, front_json, print_splits, split_json, write_splits_page
from shoal.report.splits import SHOWN, plane


def split(number: int, latency_s: float = 0.2, **more: object) -> SplitFigures:
    repeats = (SplitRepeat(latency_s, latency_s, 0.1, 0.05, 0.06, 0.02),)
    fields = {"repeats": repeats, "outputs_match": True, "window": 4, "items": 10, **more}
    return SplitFigures(number, f"<op{number}>", ("a/cpu", "b/cpu"), 1024, ("t",), Twin(0.05, 0.06, 0.01, 0.01), **fields)  # type: ignore[arg-type]  # fmt: skip


FRONT = SplitFront(
    "net", (split(0), split(1, 0.4), split(2, repeats=(), skipped="too slow"), split(3, failure="died")),
    (0,), 0, 1e-3, (0.44, 0.11), ("a note",),
)  # fmt: skip


def test_csv_has_a_line_for_each_cut() -> None:
    rows = list(csv.DictReader(io.StringIO(csv_text(FRONT))))
    assert [row["cut"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["front"] for row in rows] == ["True", "False", "False", "False"]
    assert float(rows[0]["throughput_items_per_s"]) == 10
    assert float(rows[0]["network_bytes_per_s"]) == 1024 / 0.02
    assert rows[2]["latency_s"] == ""
    assert rows[3]["failure"] == "died"


def test_keys() -> None:
    found = front_json(FRONT)
    assert found["knee"] == found["best_latency"] == found["best_throughput"] == 0
    assert len(found["splits"]) == 4
    assert len(split_json(FRONT.splits[0])["each"]) == 1
    assert front_json(SplitFront("net", (), (), None, 0.0, (0.0, 0.0)))["knee"] is None


def test_the_terminal_marks_the_front_and_says_what_failed() -> None:
    out = Console(file=io.StringIO(), width=80)
    print_splits(FRONT, out)
    text = out.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "▶     0" in text
    assert "cut 3 failed: died" in text
    assert "cut 2 was left out: too slow" in text
    assert "a note" in text
    many = SplitFront("net", tuple(split(i) for i in range(SHOWN + 9)), (SHOWN + 3,), SHOWN + 3, 0.0, (1.0, 1.0))
    print_splits(many, out)
    text = out.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "9 more cuts in the files" in text
    assert f"▶    {SHOWN + 3}" in text


def test_the_page_escapes_names(tmp_path: Path) -> None:
    write_splits_page(FRONT, tmp_path / "page.html", "a/cpu · b/cpu")
    page = (tmp_path / "page.html").read_text()
    assert "&lt;op0&gt;" in page
    assert "<op0>" not in page.partition('id="charts"')[0]
    chart = plane(FRONT)
    assert chart is not None
    assert [len(each["x"]) for each in chart["data"]] == [1, 1, 1]
    assert plane(SplitFront("net", (), (), None, 0.0, (0.0, 0.0))) is None
