"""Models from folders: prepared once, found again by content, refused where something is missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from shoal.errors import InputError, ModelError
from shoal.llm.checkpoint import Text, Wanted, opened, prepared
from shoal.llm.tiny import save_folder, tiny

pytest.importorskip("tokenizers")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save_folder(tiny("llama"), tmp_path / "small")


def test_a_folder_is_opened(folder: Path) -> None:
    found = opened(folder)
    read = found.weights.read("layers.0.self_attn.q_proj.weight")
    assert np.array_equal(read.values, tiny("llama").weights["model.layers.0.self_attn.q_proj.weight"])
    assert "norm.weight" in set(found.weights.names())
    with pytest.raises(ModelError, match="no weight 'x'"):
        found.weights.read("x")


def test_it_is_converted_once(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SHOAL_CACHE", str(tmp_path / "cache"))
    kept = prepared(folder, Wanted(context=64))
    stamp = kept.model.stat().st_mtime_ns
    assert kept.facts.context == 64
    assert kept.text.tokens("ab") == [97, 98]
    assert prepared(folder, Wanted(context=64)).model.stat().st_mtime_ns == stamp
    assert prepared(folder, Wanted(context=32)).folder != kept.folder
    coded = prepared(folder, Wanted("int8", 64))
    assert sum(file.stat().st_size for file in coded.folder.iterdir()) < 0.45 * sum(
        file.stat().st_size for file in kept.folder.iterdir()
    )


@pytest.mark.parametrize(("missing", "said"), [
    ("model.safetensors", "without weights"), ("tokenizer.json", "no tokenizer"), ("config.json", "no trained"),
])  # fmt: skip
def test_what_is_missing_is_named(folder: Path, missing: str, said: str) -> None:
    (folder / missing).unlink()
    with pytest.raises(ModelError, match=said):
        prepared(folder, Wanted(context=48))


def test_damaged_weights_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="damaged"):
        prepared(folder)


def test_a_context_beyond_the_model(folder: Path) -> None:
    with pytest.raises(InputError, match="not made for"):
        prepared(folder, Wanted(context=4097))


def test_chats(folder: Path, tmp_path: Path) -> None:
    said = [{"role": "user", "content": "Hello"}]
    shutil.copy(folder / "tokenizer.json", tmp_path / "t.json")
    assert Text(tmp_path / "t.json").chat(said) == "User: Hello\nAssistant:"
    template = "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"
    assert Text(tmp_path / "t.json", template=template).chat(said) == "<user>Hello<a>"
    for wrong in ("{{ ''.__class__.__mro__ }}", "{% if %}", "{{ raise_exception('no') }}"):
        with pytest.raises(ModelError, match="chat template"):
            Text(tmp_path / "t.json", template=wrong).chat(said)
