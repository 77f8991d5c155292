"""Every small trained model that comes with shoal: it is the one that was trained, as large as its configuration says,
foresees text that it has not seen, and writes on."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from shoal import catalog
from shoal.errors import ModelError
from shoal.llm import architecture
from shoal.llm.tiny import tiny
from shoal.train.language import corpus, perplexity, runner, stretches

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("safetensors")

import torch

from shoal.llm.tiny._learn import PLACES, answering

KINDS = catalog.names("llm/tiny")
PERPLEXITY = 6.0  # a byte, on text held out; of bytes drawn evenly it were 256
LARGEST_BYTES = 2.5e6


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_as_large_as_its_configuration_says(kind: str) -> None:
    found = tiny(kind)
    assert sum(each.size for each in found.weights.values()) == architecture(found.config).parameters


@pytest.mark.parametrize("kind", KINDS)
def test_it_foresees_text_that_it_has_not_seen(kind: str) -> None:
    held = stretches(corpus()[1][: 24 * PLACES], PLACES)
    assert perplexity(runner(answering(tiny(kind).module())), held) < PERPLEXITY


@pytest.mark.parametrize("kind", KINDS)
def test_it_writes_on_as_if_it_read_everything_anew(kind: str) -> None:
    model, begun = tiny(kind).module(), list(b"Return the ")
    with torch.no_grad():
        found = model.generate(torch.tensor([begun]), max_new_tokens=12, do_sample=False)[0].tolist()
        wanted = list(begun)
        for _ in range(12):
            wanted.append(int(model(torch.tensor([wanted]), use_cache=False).logits[0, -1].argmax()))
    assert found == wanted
    assert bytes(found).isascii()


@pytest.mark.parametrize("kind", [each for each in KINDS if each != "llama"])
def test_a_damaged_file_is_refused(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{kind}.safetensors"
    content = bytearray((files("shoal.llm.tiny") / name).read_bytes())
    assert len(content) <= LARGEST_BYTES
    content[-1] ^= 1
    (tmp_path / name).write_bytes(content)
    monkeypatch.setattr("shoal.train.language._kept.files", lambda _: tmp_path)
    from shoal.llm.tiny import _kept

    _kept._read.cache_clear()
    with pytest.raises(ModelError, match="damaged"):
        tiny(kind)
    (tmp_path / name).unlink()
    with pytest.raises(ModelError, match="cannot read"):
        tiny(kind)
