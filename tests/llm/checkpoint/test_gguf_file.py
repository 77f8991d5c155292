"""GGUF files: blocks as codes against gguf's own decoding, configurations, damaged and unknown files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shoal.errors import ModelError
from shoal.llm.checkpoint import opened

gguf = pytest.importorskip("gguf")

WIDTH, HIDDEN, TOKENS, HEADS = 256, 512, 64, 4
TYPES = {"attn_q": "Q8_0", "attn_k": "Q5_0", "attn_v": "Q4_0", "attn_output": "F16", "ffn_gate": "Q8_0",
         "ffn_up": "F32", "ffn_down": "BF16"}  # fmt: skip


def shapes(part: str) -> tuple[int, int]:
    return {"ffn_gate": (HIDDEN, WIDTH), "ffn_up": (HIDDEN, WIDTH), "ffn_down": (WIDTH, HIDDEN)}.get(
        part, (WIDTH, WIDTH)
    )


def written(path: Path, kind: str = "llama", *, most: int = 99) -> dict[str, np.ndarray[Any, Any]]:
    """A file of one layer; what each tensor decodes to."""
    draw = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, kind)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_eos_token_id(2)
    writer.add_bos_token_id(1)
    found = {}

    def add(name: str, array: np.ndarray[Any, Any], kind: str) -> None:
        form = gguf.GGMLQuantizationType[kind]
        packed = gguf.quants.quantize(array, form)
        writer.add_tensor(name, packed, raw_dtype=form)
        found[name] = gguf.quants.dequantize(packed, form)

    add("token_embd.weight", draw.normal(size=(TOKENS, WIDTH)).astype(np.float32), "Q8_0")
    for part, form in TYPES.items():
        add(f"blk.0.{part}.weight", draw.normal(size=shapes(part)).astype(np.float32), form)
    for norm in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        add(f"{norm}.weight", draw.normal(size=WIDTH).astype(np.float32), "F32")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return found


def test_blocks_are_taken_as_they_are(tmp_path: Path) -> None:
    wanted = written(tmp_path / "model.gguf")
    found = opened(tmp_path / "model.gguf")
    assert (found.ends, found.begins) == ((2,), 1)
    assert found.config["model_type"] == "llama"
    assert found.config["tie_word_embeddings"]
    assert found.config["vocab_size"] == TOKENS
    for part, name in (
        ("attn_v", "self_attn.v_proj"),
        ("ffn_gate", "mlp.gate_proj"),
        ("ffn_down", "mlp.down_proj"),
    ):
        read = found.weights.read(f"layers.0.{name}.weight")
        assert np.array_equal(read.matrix, wanted[f"blk.0.{part}.weight"])
    embedded = found.weights.read("embed_tokens.weight")
    assert (embedded.bits, embedded.values.dtype) == (8, np.int8)
    assert np.array_equal(embedded.matrix, wanted["token_embd.weight"])


@pytest.mark.parametrize(("part", "name"), [("attn_q", "q_proj"), ("attn_k", "k_proj")])
def test_rows_of_queries_and_keys_are_put_in_order(part: str, name: str, tmp_path: Path) -> None:
    wanted = written(tmp_path / "model.gguf")[f"blk.0.{part}.weight"]
    head = WIDTH // HEADS
    turned = wanted.reshape(HEADS, head // 2, 2, WIDTH).swapaxes(1, 2).reshape(WIDTH, WIDTH)
    assert np.array_equal(
        opened(tmp_path / "model.gguf").weights.read(f"layers.0.self_attn.{name}.weight").matrix, turned
    )


def test_a_kind_that_is_not_known(tmp_path: Path) -> None:
    written(tmp_path / "model.gguf", "starcoder")
    with pytest.raises(ModelError, match="of the kind 'starcoder'"):
        opened(tmp_path / "model.gguf")


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    written(path)
    whole = path.read_bytes()
    for content in (b"", b"GGUF", whole[: len(whole) // 2], b"\0" * 64):
        path.write_bytes(content)
        with pytest.raises(ModelError):
            opened(path)


def test_a_weight_that_is_not_there(tmp_path: Path) -> None:
    written(tmp_path / "model.gguf")
    with pytest.raises(ModelError, match=r"no weight 'layers\.1"):
        opened(tmp_path / "model.gguf").weights.read("layers.1.mlp.up_proj.weight")
