"""Steps by a module: rows as long as their texts answer as each text alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from shoal.errors import InputError, WorkerDied
from shoal.llm.service import Request, Room
from shoal.llm.service.batch import Step
from shoal.llm.service.executor import Outputs
from shoal.llm.service.generator import TRIES, going_on
from shoal.llm.service.over_module import OverModule
from shoal.llm.tiny import tiny

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

PROMPTS = (b"The module provides ", b"If the argument is ", b"A list of strings " * 3, b"class ", b"x")
NEW = 16


class Mortal(OverModule):
    """Whose worker is gone after so many steps."""

    def __init__(self, model: Any, steps: int) -> None:
        super().__init__(model, f"until {steps}", Room(2, 8), 128)
        self._left = steps

    def take(self, timeout_s: float) -> Iterator[tuple[Step, Outputs]]:
        for each in super().take(timeout_s):
            if not self._left:
                raise WorkerDied("it is gone", where="worker 1")
            self._left -= 1
            yield each


def alone(model: Any, prompt: bytes, new: int = NEW) -> list[int]:
    with torch.no_grad():
        out = model.generate(torch.tensor([list(prompt)]), max_new_tokens=new, do_sample=False, pad_token_id=0)
    return out[0, len(prompt) :].tolist()


@pytest.mark.parametrize("kind", ["llama", "mixtral", "deepseek_v3"])
@pytest.mark.parametrize("room", [Room(2, 8), Room(4, 64)])
def test_texts_together_are_those_of_each_alone(kind: str, room: Room) -> None:
    model = tiny(kind).module()
    wanted = [alone(model, prompt) for prompt in PROMPTS]

    @contextmanager
    def here(_: frozenset[str]) -> Iterator[OverModule]:
        yield OverModule(model, "here", room, 128)

    with going_on(here, 128) as generator:
        streams = [generator.ask(Request(tuple(prompt), NEW)) for prompt in PROMPTS]
        assert [stream.all() for stream in streams] == wanted
        again = generator.ask(Request(tuple(PROMPTS[1]), NEW))  # in a row that had a longer text
        assert again.all() == wanted[1]
        assert generator.counts.placements == ["here"]
        assert len(generator.ask(Request(tuple(b"a" * 125), 100)).all()) == 3
        with pytest.raises(InputError, match="does not fit"):
            generator.ask(Request(tuple(b"a" * 128)))


def test_texts_go_on_with_the_next_executor_and_end_where_none_lasts() -> None:
    model, begun = tiny("mixtral").module(), []

    @contextmanager
    def lost_at(steps: int) -> Iterator[OverModule]:
        yield Mortal(model, steps)

    def executors(_: frozenset[str]) -> Any:
        begun.append(len(begun))
        return lost_at(5 if len(begun) < 4 else 0)

    with going_on(executors, 128) as generator:
        stream = generator.ask(Request(tuple(PROMPTS[0]), 60))
        got = list(stream)
        assert stream.ended is not None
        assert (stream.ended.reason, stream.ended.why) == ("lost", "worker 1: it is gone")
    assert 3 <= len(got) < 60
    assert got == alone(model, PROMPTS[0], 60)[: len(got)]
    assert len(begun) == 3 + TRIES
