"""Texts gone on with from a disk are those of the workers, token for token, drawn ones too."""

from __future__ import annotations

from pathlib import Path

import pytest

from shoal.cli.app import run
from shoal.errors import InputError
from shoal.llm.checkpoint.kept import prepared
from shoal.llm.offload.text import paged
from shoal.llm.service import Request, Sampling, generating, placed
from shoal.llm.service.placed import Room
from shoal.llm.tiny import save_folder, tiny
from tests.llm.folders import two

pytest.importorskip("transformers")

PROMPT = tuple(b"The name of the module ")


@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=0.8, top_p=0.9, seed=4)])
def test_text_is_that_of_the_workers(sampling: Sampling, tmp_path: Path) -> None:
    folder = save_folder(tiny("llama"), tmp_path / "small")
    request = Request(PROMPT, 10, sampling)
    kept = prepared(folder)
    with generating(
        lambda lost: placed(kept, two(), Room(1), exclude=lost), kept.facts.context, "memory"
    ) as generator:
        wanted = generator.ask(request).all()
    with paged(folder, 3 << 20) as (_, text):
        assert text.ask(request).all() == wanted
        assert text.counts.tokens == 10


def test_an_end_a_cancellation_and_a_prompt_too_long(tmp_path: Path) -> None:
    folder = save_folder(tiny("llama"), tmp_path / "small")
    with paged(folder, 3 << 20) as (kept, text):
        free = text.ask(Request(PROMPT, 6)).all()
        stopped = text.ask(Request(PROMPT, 6, ends=(free[3],)))
        assert list(stopped) == free[: free.index(free[3])]
        assert stopped.ended is not None
        assert stopped.ended.reason == "stop"
        with pytest.raises(InputError, match="does not fit"):
            text.ask(Request((1,) * kept.facts.context, 1))
        left = text.ask(Request(PROMPT, 200))
        next(iter(left))
        left.cancel()
        assert len(list(left)) < 199


def test_the_command_takes_memory(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = save_folder(tiny("llama"), tmp_path / "small")
    assert run(["generate", str(folder), "The name", "--tokens", "5", "--memory", "3MB"]) == 0
    first = capfd.readouterr()
    assert "within 2.86 MiB of weights" in first.err
    assert run(["generate", str(folder), "The name", "--tokens", "5"]) == 0
    assert capfd.readouterr().out == first.out
    assert run(["generate", str(folder), "The name", "--memory", "10kB"]) == 1
    assert "the budget holds not even one record" in capfd.readouterr().err
    assert run(["generate", str(folder), "The name", "--memory", "3MB", "--weights", "int8"]) == 2
    assert "leave out" in capfd.readouterr().err
