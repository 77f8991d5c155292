from __future__ import annotations

from typing import Any

from shoal import formats


def test_every_format_is_shown_with_what_it_takes(shoal: Any) -> None:
    rows = shoal("formats", "--json").json
    assert [row["name"] for row in rows] == list(formats.EXAMPLES)
    assert "mxfp8" in shoal("formats").out
    one = shoal("formats", "int4g128", "--json").json
    assert one["bits_per_value"] == 4.125


def test_gates_are_shown_of_formats_that_have_a_multiplier(shoal: Any) -> None:
    rows = {row["name"]: row for row in shoal("formats", "mac", "--json").json}
    assert {"mxint8", "mxfp8", "nvint4", "tern2", "bin"} <= set(rows)
    assert not {"pow2", "hlq2g128"} & set(rows)
    for row in rows.values():
        parts = sum(row[part] for part in ("multiplier", "exponents", "adders", "shifters", "scales"))
        assert abs(parts - row["area"]) < 1e-9
        assert row["energy_j"] > 0
    told = shoal("formats", "mac").out
    assert "areas in full adders" in told
    assert " pJ" in told


def test_a_name_of_no_format(shoal: Any) -> None:
    done = shoal("formats", "mxint9")
    assert done.code == 2
    assert "no number format is called 'mxint9'" in done.err
