"""The study of EdgeReasoning: questions that can be checked, lessons, and students that are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from shoal.llm.reasoning import Control
from shoal.study._edge_runs import Answered, Class, Student
from shoal.study._edge_task import IGNORED, MARKS, Question, asked, lessons, questions
from shoal.study._edge_trained import Training
from shoal.train import Recipe

QUESTION = Question("+*-", (7, 4, 9))


def test_a_question_s_totals_are_those_of_python() -> None:
    assert QUESTION.totals == (7, 28 % 10, (28 - 9) % 10)
    for each in questions(50, 1, 6, 0, held_out=False):
        total = 0
        for sign, digit in zip(each.signs, each.digits, strict=True):
            total = {"+": total + digit, "-": total - digit, "*": total * digit}[sign]
        assert each.answer == ord(str(total % 10))


def test_what_is_asked_and_written() -> None:
    assert QUESTION.text(4) == "*+7*4-9  ?"
    assert QUESTION.written(3) == "7 8 9 =9\n"
    assert QUESTION.written(1) == "7 =9\n"
    assert asked([QUESTION], 4, "2")[0].tolist() == list(b"2+7*4-9  ?")


def test_no_question_is_learned_from_and_tested_with() -> None:
    learned, held = (questions(400, 1, 3, 0, held_out=each) for each in (False, True))
    assert {each.text(3) for each in learned}.isdisjoint(each.text(3) for each in held)


@pytest.mark.parametrize(("steps", "wanted"), [(True, "7 8 9 =9\n"), (False, "=9\n")])
def test_only_what_follows_a_question_is_learned(steps: bool, wanted: str) -> None:
    for seed in range(20):
        found = lessons([QUESTION], 3, steps, seed)
        told = bytes(found.y[0][found.y[0] != IGNORED].tolist()).decode()
        hint = chr(found.x[0, 0])
        assert told == (wanted if hint == "*" else QUESTION.written(int(hint)))


def test_a_student_is_kept_and_keeps_budgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_CACHE", str(tmp_path))
    said: list[str] = []
    trained = Training(8, 1, 2, True, Recipe(steps=3, batch=4), learned=50)
    first, again = (trained.trained(said.append) for _ in range(2))
    assert len(said) == 2
    for name, each in first.state_dict().items():
        np.testing.assert_array_equal(each.numpy(), again.state_dict()[name].numpy())
    student = Student("8 wide", first, 2, True, 1.0)
    held = questions(5, 1, 2, 1, held_out=True)
    found = student.answered(held, Control("cut", 2), samples=3)
    assert found.thought.max() <= 2
    assert set(found.answers.ravel()) <= {*MARKS.choices, -1}
    told = Answered.of(found, held, 1, limit=2)
    assert told.compliant == 1
    assert told.score.asked == 5


def test_every_configuration_has_a_latency_and_an_energy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_CACHE", str(tmp_path))
    recipe = Recipe(steps=2, batch=4)
    students = [Training(8, 1, 2, steps, recipe, 50) for steps in (False, True)]
    told = Class(
        tuple(Student(each.name, each.trained(lambda _: None), 2, each.steps, 1.0) for each in students),
        tuple(questions(8, 1, 2, 1, held_out=True)), (1, 2), 0,
    )  # fmt: skip
    found = list(told.options())
    assert len(found) == 1 + (1 + 2 + 2 + 1) + 1
    assert all(each.latency_s > 0 and each.energy_j > 0 for each in found)
    assert len({each.name for each in found}) == len(found)
