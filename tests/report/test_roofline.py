"""The page of ops under roofs."""

from __future__ import annotations

from shoal.report import RooflineOp, RooflineUnit, roofline_page
from shoal.report.roofline import MOST_KINDS, OTHERS, _chart, _kinds, _under

LINE = ((0.1, 1e9), (10.0, 1e11), (100.0, 1e11))  # 10 GB/s, 100 Gflop/s


def unit(*ops: RooflineOp) -> RooflineUnit:
    return RooflineUnit("engine, 1 thread", ops, {"L1": ((0.1, 4e9), (2.5, 1e11), (100.0, 1e11)), "memory": LINE})


def test_a_roof_between_its_ends() -> None:
    assert _under(LINE, 1.0) == 1e10
    assert _under(LINE, 50.0) == 1e11


def test_ops_stand_at_their_intensity_and_the_share_of_the_roof_is_told() -> None:
    found = unit(RooflineOp("a", "Conv", 2e9, 1e9, 0.4), RooflineOp("b", "Relu", 0.0, 1e9, 0.1))
    chart = _chart(found)
    assert chart is not None
    points, first, second, names = chart["data"]
    assert dict(zip(names["text"], names["x"], strict=True)) == {"L1": 2.5, "memory": 10.0}
    assert (points["x"], points["y"]) == ([2.0], [5e9])
    assert second["x"] == [place for place, _ in LINE]
    assert first["line"]["dash"] != second["line"]["dash"]
    page = roofline_page("net", (found,))
    assert "<td>80.0%</td><td>2</td><td>5</td><td>25%</td>" in page
    assert "1 op without products, which are not drawn, takes 20% of it" in page


def test_names_cannot_steer_the_page_and_nothing_to_draw_is_no_chart() -> None:
    odd = unit(RooflineOp("<script>alert(1)</script>", "<b>", 0.0, 8.0, 1e-3))
    page = roofline_page("<i>net</i>", (odd,))
    assert _chart(odd) is None
    assert "<script>alert" not in page
    assert "<i>net" not in page


def test_many_kinds_share_the_last_colour() -> None:
    ops = [RooflineOp(f"{at}", f"Kind{at}", 1.0, 1.0, float(at + 1)) for at in range(MOST_KINDS + 3)]
    kinds = _kinds(ops)
    assert next(iter(kinds)) == f"Kind{MOST_KINDS + 2}"
    assert len(kinds[OTHERS]) == 3
    assert sum(map(len, kinds.values())) == len(ops)
