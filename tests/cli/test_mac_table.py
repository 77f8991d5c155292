"""`shoal mac-table`: what it prints agrees with the table, and its formats are formats."""

from __future__ import annotations

from typing import Any

import numpy as np

from shoal import formats


def test_the_table_of_a_multiplier(shoal: Any) -> None:
    facts = shoal("mac-table", "--multiplier", "booth_ripple", "--json").json
    assert len(facts["weights"]) == 256
    assert facts["slowest"] == max(each["delay"] for each in facts["weights"])
    assert all(each["delay"] <= each["bound"] for each in facts["weights"])
    for book in facts["codebooks"]:
        assert book["weights"] == sum(each["delay"] <= book["bound"] + 1e-9 for each in facts["weights"])
        if book["format"]:
            form: Any = formats.make(book["format"])
            np.testing.assert_array_equal(form.grid.array, sorted(book["values"]))
    assert facts["codebooks"][-1]["clock"] == 1
    told = shoal("mac-table", "--multiplier", "booth_ripple").out
    assert f"the slowest takes {facts['slowest']:.1f} gate delays" in told
    one = facts["codebooks"][-1]["bound"]
    shown = shoal("mac-table", "--multiplier", "booth_ripple", "--bound", str(one)).out
    assert "codebook:values=-128/-127/" in shown


def test_what_is_refused(shoal: Any) -> None:
    assert "no multiplier is called 'boot'" in shoal("mac-table", "--multiplier", "boot").complaint
    assert "no bound on the delay" in shoal("mac-table", "--bound", "-1").complaint
