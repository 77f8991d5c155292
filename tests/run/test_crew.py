"""Who is lost, by its own words rather than by what others say of it."""

from __future__ import annotations

from typing import cast

import pytest

from shoal.run import crew as crews
from shoal.run.crew import Crew
from shoal.wire import Endpoint, Left
from tests.programs import chain

A, B = "a/cpu", "b/cpu"
NOBODY = cast(Endpoint, None)  # what is said is not heard here
PARTED = {"is": "parted", "peer": A, "why": "closed its connection"}


def test_what_a_worker_says_of_itself_counts_before_what_others_say_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crews, "REAP_S", 60.0)
    crew = Crew(chain(A, B), NOBODY)
    assert crew.told(B, PARTED) is None
    assert crew.why(None) is None
    assert crew.told(A, {"is": "error", "message": "its state is full"}) == (A, "its state is full")


def test_what_others_say_counts_when_it_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crews, "REAP_S", 0.0)
    crew = Crew(chain(A, B), NOBODY)
    assert crew.why(None) is None
    assert crew.told(B, PARTED) is None
    assert crew.why(None) == (A, f"{B}: closed its connection")
    assert Crew(chain(A, B), NOBODY).told(B, PARTED | {"peer": "elsewhere/cpu"}) is None


def test_the_last_words_of_a_process_count_before_its_line() -> None:
    ended: list[tuple[str, str]] = []
    crew = Crew(chain(A, B), NOBODY, watch=lambda: next(iter(ended), None))
    assert crew.told(B, PARTED) is None
    ended.append((A, "out of memory"))
    assert crew.why(None) == (A, "out of memory")
    assert crew.why(Left(A, "closed its connection")) == (A, "out of memory")
