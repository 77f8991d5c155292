"""Texts over workers: the same as the undivided model's, many at once, cancelled, and when a worker is killed."""

from __future__ import annotations

import os
import signal

import psutil
import pytest

from shoal.errors import InputError, WorkError
from shoal.llm.checkpoint import Kept
from shoal.llm.service import Placed, Request, Room, generating, placed
from shoal.llm.tiny import tiny
from tests.llm.folders import small, two

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

PROMPTS = (b"The module provides ", b"If the argument is ", b"A list of strings " * 3, b"class ", b"x")
NEW = 24


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return small(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def wanted() -> list[list[int]]:
    """What transformers goes on with, greedily."""
    model = tiny("llama").module()
    found = []
    for prompt in PROMPTS:
        with torch.no_grad():
            out = model.generate(torch.tensor([list(prompt)]), max_new_tokens=NEW, do_sample=False, pad_token_id=0)
        found.append(out[0, len(prompt) :].tolist())
    return found


def places(kept: Kept, room: Room, planner: str = "fan"):  # type: ignore[no-untyped-def]
    def place(lost: frozenset[str]) -> Placed:
        return placed(kept, two(), room, exclude=lost, planner=planner)

    return place


@pytest.mark.parametrize(("over", "planner", "room"), [
    ("memory", "fan", Room(2, 16)), ("shm", "fan", Room(4, 32)), ("tcp", "chain_dp", Room(3, 8, 1)),
])  # fmt: skip
def test_the_text_is_that_of_the_undivided_model(
    kept: Kept, wanted: list[list[int]], over: str, planner: str, room: Room
) -> None:
    with generating(places(kept, room, planner), kept.facts.context, over) as generator:
        assert "→" in generator.counts.placements[0] or planner == "fan"
        streams = [generator.ask(Request(tuple(prompt), NEW)) for prompt in PROMPTS]
        assert [stream.all() for stream in streams] == wanted
        assert {stream.ended.reason for stream in streams if stream.ended} == {"length"}


def test_ends_and_the_context_end_a_text(kept: Kept, wanted: list[list[int]]) -> None:
    end = wanted[0][5]
    before = wanted[0][: wanted[0].index(end)]
    with generating(places(kept, Room(2, 64)), kept.facts.context, "memory") as generator:
        stopped = generator.ask(Request(tuple(PROMPTS[0]), NEW, ends=(end,)))
        assert stopped.all() == before
        assert stopped.ended is not None
        assert stopped.ended.reason == "stop"
        long = generator.ask(Request(tuple(b"a" * 250), 100))
        assert len(long.all()) == 6  # 256 places
        for wrong in (Request(()), Request(tuple(b"a" * 256)), Request((1,), 0)):
            with pytest.raises(InputError):
                generator.ask(wrong)


def test_a_cancelled_text_makes_room(kept: Kept, wanted: list[list[int]]) -> None:
    with generating(places(kept, Room(1, 16)), kept.facts.context, "memory") as generator:
        endless = generator.ask(Request(tuple(PROMPTS[1]), 200))
        other = generator.ask(Request(tuple(PROMPTS[0]), NEW))
        first = next(iter(endless))
        endless.cancel()
        assert first == wanted[1][0]
        assert other.all() == wanted[0]
        list(endless)
        assert endless.ended is not None
        assert endless.ended.reason == "cancelled"


def test_texts_go_on_when_a_worker_is_killed(kept: Kept) -> None:
    reference = tiny("llama").module()
    with torch.no_grad():
        whole = reference.generate(
            torch.tensor([list(PROMPTS[0])]), max_new_tokens=180, do_sample=False, pad_token_id=0
        )
    with generating(places(kept, Room(2, 16)), kept.facts.context, "shm") as generator:
        stream = generator.ask(Request(tuple(PROMPTS[0]), 180))
        tokens = iter(stream)
        got = [next(tokens) for _ in range(10)]
        _kill_one()
        got += list(tokens)
        assert got == whole[0, len(PROMPTS[0]) :].tolist()
        assert generator.counts.losses == 1
        assert len(generator.counts.placements) == 2
        assert generator.counts.placements[1] in ("left/cpu", "right/cpu")


def test_with_nobody_left_texts_end_with_what_they_have(kept: Kept) -> None:
    calls = []

    def place(lost: frozenset[str]) -> Placed:
        calls.append(lost)
        if len(calls) > 1:
            raise WorkError("nobody is left")
        return placed(kept, two(), Room(2, 16))

    with generating(place, kept.facts.context, "shm") as generator:
        stream = generator.ask(Request(tuple(PROMPTS[0]), 200))
        tokens = iter(stream)
        next(tokens)
        _kill_one()
        list(tokens)
        assert stream.ended is not None
        assert (stream.ended.reason, stream.ended.why) == ("lost", "nobody is left")
        with pytest.raises(WorkError, match="nobody is left"):
            generator.ask(Request((1,)))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # which is the point
def test_a_defect_leaves_nobody_waiting(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    with generating(places(kept, Room(2, 16)), kept.facts.context, "memory") as generator:
        stream = generator.ask(Request(tuple(PROMPTS[0]), 200))
        tokens = iter(stream)
        next(tokens)
        monkeypatch.setattr("shoal.llm.service.batch.next_steps", lambda _: 1 / 0)
        list(tokens)
        assert stream.ended is not None
        assert stream.ended.reason == "lost"
        with pytest.raises(WorkError):
            generator.ask(Request((1,)))


def test_a_placement_that_cannot_be_is_told(kept: Kept) -> None:
    def place(lost: frozenset[str]) -> Placed:
        raise WorkError("no room for it")

    with pytest.raises(WorkError, match="no room for it"), generating(place, kept.facts.context, "memory"):
        pass


def _kill_one() -> None:
    workers = [each for each in psutil.Process().children() if "shoal.worker" in " ".join(each.cmdline())]
    assert len(workers) == 2
    os.kill(workers[0].pid, signal.SIGKILL)
