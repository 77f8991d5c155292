"""A cache in a file: the same logits to the bit, within its budget, and what it refuses."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal.errors import InputError, LimitError, ModelError, WorkError
from shoal.llm.offload.keys_values import Blocks, paged_cache
from shoal.llm.tiny import tiny
from shoal.store import FileTier, Key

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("safetensors")

PROMPT = torch.from_numpy(np.random.default_rng(7).integers(0, 256, (2, 45)))


def logits(model: Any, cache: Any, steps: int = 24) -> list[Any]:
    """Of a prompt's last place, and of likely tokens after it."""
    found, symbols = list[Any](), PROMPT
    with torch.no_grad():
        for _ in range(steps):
            found.append(model(symbols, past_key_values=cache, use_cache=True).logits[:, -1])
            symbols = found[-1].argmax(-1, keepdim=True)
    return found


@pytest.mark.parametrize("kind", ["llama", "mixtral"])
@pytest.mark.parametrize(("records", "policy"), [(1, "lru"), (3, "cyclic"), (100, "cyclic")])
def test_logits_are_those_of_a_cache_in_memory(kind: str, records: int, policy: str, tmp_path: Path) -> None:
    from transformers import DynamicCache

    made = tiny(kind)
    model, blocks = made.module(), Blocks.of(made.config, tokens=80, block=8, batch=2)
    wanted = logits(model, DynamicCache())
    with paged_cache(blocks, tmp_path / "kv", blocks.record_bytes * records, policy) as cache:
        found = logits(model, cache)
        told = cache.store.told()
        assert cache.get_seq_length() == 45 + 23
        assert cache.written_bytes == blocks.layers * (68 // 8) * blocks.record_bytes  # each block once
    assert all(torch.equal(*pair) for pair in zip(found, wanted, strict=True))
    assert told.peak_bytes <= told.budget_bytes
    assert (told.read_bytes == cache.written_bytes) == (records == 100)


def test_the_next_block_is_read_while_one_is_copied(tmp_path: Path) -> None:
    made = tiny("llama")
    blocks = Blocks.of(made.config, tokens=80, block=8, batch=2)
    with paged_cache(blocks, tmp_path / "kv", 2 * blocks.record_bytes) as cache:
        logits(made.module(), cache, 3)
        uses = cache.store.told().uses
    order = [use.keys[0] for use in uses[-20:]]
    assert order == [Key(layer, number) for layer in range(4) for number in range(5)]
    assert [use.then for use in uses[-20:]] == [(key,) for key in [*order[1:], Key(0)]]


def test_what_has_no_room_and_what_is_no_use_is_refused(tmp_path: Path) -> None:
    made = tiny("llama")
    model, blocks = made.module(), Blocks.of(made.config, tokens=40, block=8, batch=2)
    with paged_cache(blocks, tmp_path / "kv", 2 * blocks.record_bytes) as cache:
        with pytest.raises(LimitError, match=r"layer 0: .*is full \(needed 48 tokens, had 40\)"):
            logits(model, cache, 5)
        with pytest.raises(InputError, match="a paged cache is of one text"):
            cache.reset()
        with pytest.raises(InputError, match="does not follow beams"):
            cache.reorder_cache(torch.tensor([0, 0]))
    with (
        pytest.raises(LimitError, match=rf"not even one record .*needed {blocks.record_bytes} bytes"),
        paged_cache(blocks, tmp_path / "kv", blocks.record_bytes - 1),
    ):
        pass
    with pytest.raises(InputError, match="come in blocks of tokens"):
        Blocks.of(made.config, tokens=7, block=8)


def test_a_full_disk_ends_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tiny("llama")
    blocks = Blocks.of(made.config, tokens=80, block=8, batch=2)

    def full(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with paged_cache(blocks, tmp_path / "kv", 2 * blocks.record_bytes) as cache:
        monkeypatch.setattr("os.pwritev", full)
        with pytest.raises(WorkError, match="cannot write the store: No space left"):
            logits(made.module(), cache, 1)


def test_a_block_that_was_changed_in_the_file_is_found(tmp_path: Path) -> None:
    made = tiny("llama")
    blocks, path = Blocks.of(made.config, tokens=80, block=8, batch=2), tmp_path / "kv"
    with paged_cache(blocks, path, blocks.record_bytes) as cache:
        logits(made.module(), cache, 1)
        tier = FileTier(path)
        tier.close()
        with path.open("r+b") as file:
            file.seek(tier.records[Key(0)].offset)
            file.write(b"changed")
        with pytest.raises(ModelError, match="is not what was written"):
            logits(made.module(), cache, 1)
