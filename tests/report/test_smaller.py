"""The page of a compressed model: everything on it, nothing from outside as markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

from shoal.report import (
    Smaller,
    SmallerChoice,
    SmallerLayer,
    SmallerMix,
    SmallerMixes,
    Timing,
    smaller_page,
    write_smaller_page,
)

LAYERS = (
    SmallerLayer("conv1", "Conv", "int8", (64, 147), 8.1, 40.0, 39.0),
    SmallerLayer("<b>fc</b>", "MatMul", "hlq2g64", (1000, 512), 2.75, 12.0, 14.5, standard=False),
)
FOUND = Smaller(
    "<i>net", ("compensate", "gptq:format=hlq2g64"), 2_085_632, 185_526, 2.85, {"prob<s>": 0.0312}, LAYERS,
    (
        Timing("as it was", "onnxruntime", 0.004, 0.0039, 0.0042, 3_000_000, 0.02),
        Timing("smaller", "native", 0.002, 0.0019, 0.0022, 400_000, 0.01),
    ),
)  # fmt: skip


def charts_of(page: str) -> list[dict[str, object]]:
    found = re.search(r'<script type="application/json" id="charts">(.*?)</script>', page, re.S)
    assert found is not None
    return list(json.loads(found[1]).values())


def test_everything_is_on_it() -> None:
    page = smaller_page(FOUND)
    for said in (
        "compensate",
        "gptq:format=hlq2g64",
        "3.12%",
        "2.00 ×",
        "1000 × 512",
        "14.5 dB",
        "2.85 in 2 layers",
    ):
        assert said in page
    losses, weights = charts_of(page)
    assert [each["name"] for each in losses["data"]] == ["int8", "hlq2g64"]  # type: ignore[index, union-attr]
    assert weights["data"][1]["y"] == [64 * 147 * 8.1 / 8, 1000 * 512 * 2.75 / 8]  # type: ignore[index]


def test_what_techniques_tell_has_a_column() -> None:
    assert "note" not in smaller_page(FOUND).partition("Layers</h2>")[2].partition("</table>")[0]
    noted = replace(FOUND, layers=(replace(LAYERS[0], note="clock × 1.37 <i>"), LAYERS[1]))
    assert "<td>clock × 1.37 &lt;i&gt;</td>" in smaller_page(noted)


def test_names_are_no_markup() -> None:
    page = smaller_page(FOUND)
    assert not any(each in page for each in ("<i>net", "<b>fc</b>", "prob<s>"))
    assert all("<b>" not in json.dumps(chart) for chart in charts_of(page))


def test_without_samples_and_timings(tmp_path: Path) -> None:
    layers = (SmallerLayer("m", "MatMul", "int4", (8, 8), 4.0, 20.0, None),)
    write_smaller_page(Smaller("net", ("rtn:format=int4",), 256, 32, 4.0, {}, layers), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "Speed and memory" not in page
    assert "<td>–</td>" in page
    assert charts_of(page)[0]["data"][0]["y"] == [20.0]  # type: ignore[index]


MIXES = SmallerMixes(
    "output",
    SmallerMix("", 4 << 20, 0.02),
    (
        SmallerMix("int4", 3 << 20, 0.05),
        SmallerMix("int8<i>", 6 << 20, 0.001),
        SmallerMix("float32", 24 << 20, 0.0),
    ),
    (SmallerMix("", 3 << 20, 0.05), SmallerMix("", 4 << 20, 0.02), SmallerMix("", 6 << 20, 0.001)),
    tuple(
        SmallerChoice(op, form, loss, form == "int4")
        for op in ("conv1", "<b>fc</b>")
        for form, loss in (("int4", 0.01), ("int8<i>", 0.0005), ("float32", 0.0))
    ),
)


def test_mixes_are_shown_by_size_and_loss_and_by_layer() -> None:
    page = smaller_page(replace(FOUND, mixes=MIXES))
    assert "Size against loss" in page
    assert (
        "3 mixes that lose least for their size. Chosen: 4 MiB; int4 everywhere takes 3 MiB and loses 2.5 times as"
        in page
    )
    sizes, losses, *_ = charts_of(page)
    lines, uniform, chosen = sizes["data"]  # type: ignore[misc]
    assert lines["x"] == [3, 4, 6]
    assert (uniform["x"], uniform["text"]) == ([3, 6], ["int4", "int8&lt;i&gt;"])  # no logarithm of nothing lost
    assert (chosen["x"], chosen["y"]) == ([4], [0.02])
    names = [each["name"] for each in losses["data"]]  # type: ignore[index, union-attr]
    assert names == ["int4", "int8&lt;i&gt;", "chosen"]
    assert not any(each in page for each in ("int8<i>", "<b>fc</b>"))
