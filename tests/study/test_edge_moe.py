"""What the study of Edge-MoE rests on: the network, its task, and that both orders of experts are one."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from shoal.machines.edge_moe import Shape  # noqa: E402
from shoal.study import _edge_moe_task as task  # noqa: E402
from shoal.study._edge_moe_net import Experts, VisionExperts, by_expert, by_token  # noqa: E402
from shoal.study._edge_moe_trained import TINY  # noqa: E402
from shoal.study._edge_moe_values import fixed  # noqa: E402
from shoal.train import seeded  # noqa: E402


def test_both_orders_of_experts_give_the_same() -> None:
    with seeded(0), torch.no_grad():
        first, second = Experts(5, 8, 6), Experts(5, 6, 8)
        tokens, shares = torch.randn(7, 8), torch.rand(7, 5)
        chosen = shares.topk(2, dim=-1).indices
        torch.testing.assert_close(
            by_expert(tokens, shares, chosen, first, second), by_token(tokens, shares, chosen, first, second)
        )


def test_the_machine_knows_the_names_of_the_weights_and_gives_the_same_answers() -> None:
    with seeded(1), torch.no_grad():
        model = VisionExperts(TINY, task.OUTPUTS).eval()
        patches = torch.randn(2, task.PATCHES, task.PATCH**2)
        for number, count in enumerate(task.OUTPUTS):
            found = fixed(model).run(patches.numpy(), number)
            wanted = model.answer(patches, number).numpy()
            assert wanted.shape == (2, count)
            choices = [np.sort(each.numpy()) for each in model.choices()]
            np.testing.assert_array_equal([np.sort(each) for each in found.chosen], choices)
            np.testing.assert_allclose(found.outputs, wanted, atol=5e-3)


def test_a_gate_of_its_own_makes_tasks_differ_in_their_experts() -> None:
    with seeded(2), torch.no_grad():
        model = VisionExperts(TINY, (3, 3)).eval()
        patches = torch.randn(1, task.PATCHES, task.PATCH**2)
        chosen = []
        for number in (0, 1):
            model.answer(patches, number)
            chosen.append(model.choices()[0])
        assert not torch.equal(*chosen)


def test_the_twin_does_what_all_experts_do_together() -> None:
    shape = Shape(4, 4, width=8, heads=2, layers=2, hidden=8, experts=4, expert_hidden=6)
    twin = VisionExperts(shape, (3,), dense=True)
    assert twin.blocks[1].first.weight.shape == (24, 8)
    macs = 5 * 2 * 8 * (8 + 24)
    assert shape.perceptron_macs(all_experts=True) == macs
    assert shape.perceptron_macs() == 5 * 2 * 8 * (8 + 2 * 6)


def test_pictures_are_turned_and_cut_into_patches() -> None:
    pytest.importorskip("sklearn")
    learned, tested = task.turned(2, 0)
    assert learned.x.shape == (2400, 36, 16)
    assert tested.y.shape == (597, 2)
    assert np.abs(learned.y[:, task.TURN]).max() <= 1
    np.testing.assert_array_equal(learned.y[:1200, task.CLASS], learned.y[1200:, task.CLASS])
    assert np.abs(learned.x[:1200] - learned.x[1200:]).max() > 0.5, "turned in another way"
    assert learned.x.min() >= -1
    assert learned.x.max() <= 1


def test_how_good_answers_are() -> None:
    y = np.array([[0, 0.5], [1, -0.5]], np.float32)
    assert task.right(np.array([[2.0, 1.0], [3.0, 1.0]]), y, task.CLASS) == 50
    assert task.right(y[:, 1:], y, task.TURN) == 100
    assert task.right(np.zeros((2, 1)), y, task.TURN) == 0
