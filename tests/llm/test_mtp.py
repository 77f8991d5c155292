"""The module that foresees the second token: it learns, drafts in numpy as in torch, and changes no text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal import catalog
from shoal.errors import InputError, ModelError
from shoal.llm.drafting import FAMILY, Ask, Budget, generate
from shoal.llm.modules import module
from shoal.llm.mtp import RECIPE, Course, macs, trained
from shoal.llm.tiny import tiny

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

PROMPT = list(b"The return value is a list of ")
COURSE = Course(hidden=128, context=64, recipe=replace(RECIPE, steps=30, batch=4))


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny("llama").module()


@pytest.fixture(scope="module")
def text(model: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The drafter as text; a second call trains nothing."""
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        found = trained(COURSE, model, said.append)
        assert trained(COURSE, model, said.append) == found
    assert len(said) == 1
    return found


def test_drafts_change_no_text(model: Any, text: str) -> None:
    plain = generate(model, PROMPT, 40)
    found = generate(model, PROMPT, 40, drafter=catalog.make(FAMILY, text), tree=Budget.chain(1))
    assert found.tokens == plain.tokens
    assert 0 < found.accepted < found.rounds < plain.rounds


def test_in_numpy_as_in_torch(model: Any, text: str) -> None:
    """The likeliest second token after each place of a text."""
    from shoal.llm.mtp import _made

    symbols = torch.tensor([PROMPT])
    with torch.inference_mode():
        features = model.base_model(input_ids=symbols).last_hidden_state
        net, drafter = _made(model, COURSE), catalog.make(FAMILY, text)
        kept = np.load(drafter.file)
        net.load_state_dict({name: torch.from_numpy(kept[name]) for name in net.state_dict()})
        wanted = net(features[:, :-1], symbols[:, 1:])[0].argmax(-1).tolist()
    session, found = drafter.begin(0), []
    for at in range(1, len(PROMPT)):
        new = PROMPT[at - 1 : at + 1] if at == 1 else PROMPT[at : at + 1]
        ask = Ask(np.array(new, np.int32), features[0, at - 1 : at].to(torch.float16).numpy(), Budget.chain(1))
        found.append(int(session.propose(ask).tokens[0]))
    assert sum(one == other for one, other in zip(found, wanted, strict=True)) >= len(wanted) - 1  # float16 between


def test_a_lesson_is_about_the_second_token(model: Any) -> None:
    """What is compared with place i is the token two after feature i."""
    from shoal.llm._mtp_module import Lesson
    from shoal.llm.mtp import _made, _surprise

    symbols = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 17)))
    lesson = Lesson(model, _made(model, COURSE))
    logits = lesson(symbols[:, :16])
    assert logits.shape == (2, 15, 256)
    answers = torch.full((2, 15, 256), -50.0).scatter(2, symbols[:, 2:, None], 50.0)
    assert float(_surprise(answers, symbols[:, 1:])) == pytest.approx(0, abs=1e-6)
    assert all(each.requires_grad for each in lesson.parameters())
    assert sum(each.numel() for each in lesson.parameters()) < 400_000  # of the model none


def test_what_a_draft_takes(model: Any) -> None:
    assert macs(model, COURSE) == 2 * 192**2 + 4 * 192**2 + 3 * 192 * 128 + 192 * 256


def test_what_cannot_be_is_refused(text: str, tmp_path: Path) -> None:
    config = dict(tiny("llama").config) | {"vocab_size": 64, "num_hidden_layers": 1}
    with pytest.raises(ModelError, match="trained on bytes"):
        trained(COURSE, module(config))
    with pytest.raises(InputError, match="cannot read the drafter"):
        catalog.make(FAMILY, "mtp").begin(0)
    arrays = dict(np.load(catalog.make(FAMILY, text).file))
    del arrays["join.weight"]
    np.savez(tmp_path / "broken.npz", **arrays)
    with pytest.raises(ModelError, match="not the file of such a drafter"):
        catalog.make(FAMILY, f"mtp:file={tmp_path / 'broken.npz'}").begin(0)
