from __future__ import annotations

import os

import pytest

from shoal.fleet import board, loads
from shoal.fleet.nominal import memory_bytes, usable_cores


def test_this_machine_counts_the_cores_it_may_use() -> None:
    assert board("this-machine").unit("cpu").cores == len(os.sched_getaffinity(0)) == len(usable_cores())


def test_pinned_cores_take_their_share_of_the_peak() -> None:
    core = min(usable_cores())
    pinned = loads(f'[devices.here]\nboard = "this-machine"\ncores = [{core}]').unit("here/cpu")
    whole = board("this-machine").unit("cpu")
    assert pinned.cores == 1
    each = whole.peak_flop_per_s["float32"] / whole.cores
    assert pinned.peak_flop_per_s["float32"] == pytest.approx(each)


def test_memory_is_at_most_what_the_machine_has() -> None:
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < memory_bytes() <= physical


def test_figures_given_inline_replace_the_nominal_ones() -> None:
    text = '[devices.here]\nboard = "this-machine"\nunits.cpu.peak.float32 = "77 Gflop/s"\nidle = "9 W"'
    here = loads(text).device("here")
    assert here.unit("cpu").peak_flop_per_s["float32"] == 77e9
    assert here.idle_w == 9
