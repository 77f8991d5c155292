from __future__ import annotations

from pathlib import Path

import pytest

from shoal.plan.strategies.frame import Frame
from tests.plan.strategies.chains import checked, held_bytes, tasked, vgg


def test_every_unit_has_all_of_it_and_its_share_of_the_items(tmp_path: Path) -> None:
    graph = vgg(tmp_path)
    program = checked(Frame(), graph, (3, 0, 1))
    assert program.units == ("a/cpu", "c/cpu")
    assert [route.share for route in program.routes] == [0.75, 0.25]
    assert held_bytes(program) == [graph.weights_bytes] * 2
    assert Frame().transfer_bytes(tasked(graph, 3), (3, 0, 1)) == 0


@pytest.mark.parametrize("count", [1, 4])
def test_items_are_shared_evenly(tmp_path: Path, count: int) -> None:
    division = Frame().divide(tasked(vgg(tmp_path), count), [1] * count)
    assert [replica.share for replica in division.replicas] == [1 / count] * count
    assert division.splits == ()
