"""A plan held open and called like a function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shoal.errors import InputError, WorkerDied
from shoal.graph import load
from shoal.run import Settings, opened
from tests.run import plans
from tests.run.test_opsets import inputs, model


@pytest.mark.parametrize("over", ["memory", "shm", "tcp"])
def test_one_by_one_and_many_at_once(over: str, tmp_path: Path) -> None:
    path = model(17, "initializers", tmp_path / "model.onnx")
    graph, given = load(path), inputs()
    wanted = [plans.reference(path, each) for each in given]
    with opened(plans.plan_of(graph, plans.alternating(graph, 2)), Settings(over=over)) as call:
        for _ in range(3):
            for each, answer in zip(given, wanted, strict=True):
                plans.assert_equal(call(each), answer)
        found = call.many([given[number % 3] for number in range(20)])
        assert call.many(()) == ()
    assert len(found) == 20
    for number, outputs in enumerate(found):
        plans.assert_equal(outputs, wanted[number % 3])


def test_wrong_input_is_refused_and_the_service_goes_on(tmp_path: Path) -> None:
    path = model(17, "initializers", tmp_path / "model.onnx")
    graph, given = load(path), inputs()[0]
    with opened(plans.plan_of(graph, plans.contiguous(graph, 2)), Settings(over="shm")) as call:
        with pytest.raises(InputError, match=r"no input 'offset'"):
            call({"image": given["image"]})
        with pytest.raises(InputError, match=r"'image' has the wrong shape"):
            call.many([given, given | {"image": given["image"][0]}])
        with pytest.raises(InputError, match=r"'image' has the wrong type"):
            call(given | {"image": given["image"].astype(np.float64)})
        plans.assert_equal(call(given), plans.reference(path, given))


def test_a_lost_worker_is_named(tmp_path: Path) -> None:
    graph, given = load(model(17, "initializers", tmp_path / "model.onnx")), inputs()[0]
    with opened(plans.plan_of(graph, plans.contiguous(graph, 2)), Settings(over="tcp")) as call:
        call(given)
        _, second = plans.workers()
        second.kill()
        with pytest.raises(WorkerDied, match=r"d1/cpu is gone \(killed by signal 9\)"):
            call(given)
