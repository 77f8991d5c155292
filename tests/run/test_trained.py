"""Networks with their real weights, divided: photos are named right, sentences are ranked right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from examples.models import efficientnet_lite0, minilm, photos
from shoal import codec
from shoal.cli.app import run
from shoal.fleet import save as save_fleet
from shoal.graph import load
from shoal.plan import Plan
from shoal.run import Samples, Settings, execute
from shoal.run.samples import Arrays
from tests.run import plans

Image = pytest.importorskip("PIL.Image")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]  # downloads up to 120 MB the first time

SENTENCES = [
    "A man is eating food.",
    "Someone is having a meal.",
    "The stock market fell sharply today.",
    "Shares dropped a lot this afternoon.",
    "Two small boards share the work of one large network.",
    "Dividing a neural net over several little computers.",
]


@pytest.mark.parametrize("spread", [plans.contiguous, plans.alternating])
def test_photos_are_named_right_by_three_devices(spread: plans.Spread) -> None:
    graph = load(efficientnet_lite0.model())
    pictures = photos.photos()
    inputs = tuple({"image": efficientnet_lite0.preprocess(Image.open(each.path))} for each in pictures)
    samples = Samples(inputs, tuple(plans.reference(efficientnet_lite0.model(), each) for each in inputs))
    result = execute(plans.plan_of(graph, spread(graph, 3)), Settings(items=len(pictures)), samples)
    assert result.run.outputs_match
    assert len(result.run.devices) == 3
    assert result.answers is not None
    for item, picture in enumerate(pictures):
        (index, _), *_ = efficientnet_lite0.best(result.answers[item]["logits"])
        assert index in picture.accepted, picture.name


def test_sentences_are_ranked_right_by_two_devices(tmp_path: Path) -> None:
    """The encoder's open shapes are fixed on the command line."""
    save_fleet(plans.fleet(2), tmp_path / "fleet.toml")
    sizes = ("--shape", "batch=1", "--shape", "tokens=32")
    options = ("--shares", "1,1", "--engine", "onnxruntime", "--no-profile", "-o", str(tmp_path / "plan"))
    assert run(["plan", str(minilm.model()), str(tmp_path / "fleet.toml"), *sizes, *options]) == 0
    plan = codec.load(Plan, tmp_path / "plan" / "plan.json")
    assert plan.units == ("d0/cpu", "d1/cpu")

    inputs = tuple(dict(minilm.encode([sentence], 32)) for sentence in SENTENCES)
    expected = tuple(plans.reference(minilm.model(), each) for each in inputs)
    result = execute(plan, Settings(items=2 * len(SENTENCES), over="shm"), Samples(inputs, expected))
    assert result.run.outputs_match
    assert result.answers is not None
    for item, outputs in result.answers.items():
        plans.assert_equal(outputs, expected[item % len(SENTENCES)])
    assert nearest(result.answers) == [1, 0, 3, 2, 5, 4]

    stacks = {name: np.stack([each[name] for each in inputs]) for name in inputs[0]}
    np.savez(tmp_path / "x.npz", **stacks)
    again = ["run", str(tmp_path / "plan"), "--input", str(tmp_path / "x.npz"), "--items", "6"]
    assert run([*again, "-o", str(tmp_path / "run.json")]) == 0


def nearest(answers: dict[int, Arrays]) -> list[int]:
    """Which other sentence is most like each one."""
    vectors = np.concatenate([answers[item]["sentence_embedding"] for item in range(len(SENTENCES))])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    found: list[int] = (vectors @ vectors.T - 2 * np.eye(len(vectors))).argmax(axis=1).tolist()
    return found
