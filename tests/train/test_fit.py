"""Training: the same twice, what stops it, and what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest

from shoal.errors import InputError, WorkError
from shoal.train import Data, Recipe, accuracy, fit, predicted, seeded
from tests.train.nets import pictures, trained

torch = pytest.importorskip("torch")


def test_a_network_learns() -> None:
    data = pictures(90)
    model = trained("residual_cnn", None, data, steps=40)
    assert accuracy(model, data.test_x, data.test_y) > 0.9


def test_the_same_recipe_gives_the_same_weights_and_another_seed_others() -> None:
    data = pictures()
    one, again, other = (trained("mlp_mixer", "fda", data, seed=seed) for seed in (0, 0, 1))
    for name, value in one.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert not np.array_equal(predicted(one, data.x), predicted(other, data.x))


def test_a_loss_that_is_not_finite_stops_it_with_step_and_arm() -> None:
    data = pictures()
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    seen: list[int] = []

    def loss(outputs: object, classes: object) -> object:
        seen.append(0)
        return torch.nn.functional.cross_entropy(outputs, classes) / (0.0 if len(seen) == 4 else 1.0)

    with pytest.raises(WorkError, match=r"one-bit, step 3: the loss is not finite"):
        fit(model, data, Recipe(steps=9), loss=loss, arm="one-bit")  # type: ignore[arg-type]


def test_a_penalty_is_added_and_told() -> None:
    data = pictures()
    with seeded(0):
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    weight = model[1].weight
    found = fit(model, data, Recipe(steps=60, rate=0.05), penalty=lambda _, step: 10 * weight.abs().mean())
    assert found.penalties[-1] < found.penalties[0] / 2
    assert found.losses[0] > found.penalties[0] > 0


def test_torch_is_left_as_it_was() -> None:
    torch.manual_seed(7)
    state, threads = torch.random.get_rng_state(), torch.get_num_threads()
    model = trained("residual_cnn", "recu", pictures(), steps=2)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert not model.training


def test_the_rate_falls_to_nothing_like_a_cosine() -> None:
    recipe = Recipe(steps=10, rate=0.1)
    assert recipe.rate_at(0) == 0.1
    assert recipe.rate_at(5) == pytest.approx(0.05)
    assert recipe.rate_at(10) == pytest.approx(0, abs=1e-12)
    assert Recipe(schedule="constant", rate=0.1).rate_at(399) == 0.1
    rising = Recipe(steps=10, schedule="constant", rate=0.1, warmup=0.4)
    assert [rising.rate_at(step) for step in range(5)] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])


def test_a_long_gradient_is_clipped() -> None:
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    before = [each.detach().clone() for each in model.parameters()]
    recipe = Recipe(steps=1, optimiser="sgd", rate=1.0, momentum=0.0, clip=1e-3)
    fit(model, pictures(), recipe, loss=lambda found, _: 1e6 * found.sum())
    moved = [float((now.detach() - then).norm()) for now, then in zip(model.parameters(), before, strict=True)]
    assert np.hypot(*moved) == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize(
    ("name", "value"), [("steps", 0), ("batch", 0), ("rate", 0.0), ("rate", float("nan")), ("decay", -1.0)]
)
def test_recipes_that_make_no_sense(name: str, value: float) -> None:
    with pytest.raises(InputError):
        Recipe(**{name: value})  # type: ignore[arg-type]


def test_data_is_checked_at_the_door() -> None:
    x, y = np.zeros((4, 2), np.float32), np.array([0, 1, 0, 1])
    Data(x, y, x, y, 2)
    with pytest.raises(InputError, match="class that is not there"):
        Data(x, y, x, y, 1)
    with pytest.raises(InputError, match="finite"):
        Data(x, y, x * np.float32(np.nan), y, 2)
    with pytest.raises(InputError, match="do not fit"):
        Data(x, y[:3], x, y, 2)
    with pytest.raises(InputError, match="symbol"):
        Data(y[:, None], y, y[:, None], y, 2, symbols=1)
