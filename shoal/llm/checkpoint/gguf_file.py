"""A GGUF file: its metadata as a configuration, its blocks as codes.

Blocks that are whole numbers with one scale for 32 columns (Q8_0, Q5_0, Q4_0) are taken as they are. Those with scales
of scales (Q4_K, Q6_K and the like) are decoded and coded anew in eight bits: that is another model, by rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoal.errors import ModelError
from shoal.llm.checkpoint.opened import Checkpoint
from shoal.llm.decoder.products import BLOCK, Product, coded
from shoal.llm.library import transformers_module

KINDS = {"gemma3": "gemma3_text", "qwen2": "qwen2", "qwen3": "qwen3", "llama": "llama"}
ENDS = {"token_embd": "embed_tokens", "output_norm": "norm", "output": "lm_head"}
INSIDE = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_q_norm": "self_attn.q_norm",
    "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj", "ffn_norm": "post_attention_layernorm",
}  # fmt: skip
SANDWICHED = {
    "ffn_norm": "pre_feedforward_layernorm", "post_attention_norm": "post_attention_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm",
}  # fmt: skip
KEYS = {
    "hidden_size": "embedding_length", "intermediate_size": "feed_forward_length", "num_hidden_layers": "block_count",
    "num_attention_heads": "attention.head_count", "num_key_value_heads": "attention.head_count_kv",
    "head_dim": "attention.key_length", "rms_norm_eps": "attention.layer_norm_rms_epsilon",
    "max_position_embeddings": "context_length", "rope_theta": "rope.freq_base",
    "sliding_window": "attention.sliding_window",
}  # fmt: skip
MOST_VALUES = 64  # of an entry that is read; longer ones are the tokenizer's
BLOCK_BYTES = {"Q8_0": 34, "Q5_0": 22, "Q4_0": 18}


@dataclass(frozen=True, eq=False)
class Blocks:
    """Weights in a GGUF file."""

    kind: str
    tensors: Mapping[str, Any]  # of gguf's reader, by Hugging Face's names
    heads: Mapping[str, int]  # Llama: of queries and keys, whose rows GGUF has in another order
    where: str
    library: Any = field(repr=False)

    def names(self) -> Iterable[str]:
        """See `Weights`."""
        return self.tensors

    def read(self, name: str) -> Product:
        """See `Weights`."""
        if name not in self.tensors:
            raise ModelError(f"the model has no weight '{name}'", where=self.where)
        found = self.tensors[name]
        kind = found.tensor_type.name
        if kind in BLOCK_BYTES:
            values, scales = UNPACKED[kind](found.data.reshape(-1, BLOCK_BYTES[kind]))
            rows, columns = (int(each) for each in reversed(found.shape))
            product = Product(values.reshape(rows, columns), scales.reshape(rows, columns // BLOCK),
                              4 if kind == "Q4_0" else 8)  # fmt: skip
        else:
            plain = np.asarray(self.library.quants.dequantize(found.data, found.tensor_type), np.float32)
            product = Product(plain) if kind in ("F32", "F16", "BF16") else coded(plain, 8)
        if self.kind == "gemma3" and name.endswith("norm.weight"):  # kept as what it scales by
            return Product(product.values - np.float32(1))
        heads = self.heads.get(name.split(".")[-2]) if "." in name else None
        return _in_order(product, heads) if heads else product


def gguf_file(source: Path) -> Checkpoint:
    """See `opened`."""
    library = transformers_module("gguf")
    try:
        reader = library.GGUFReader(source)
    except (ValueError, OSError, IndexError, KeyError) as fault:
        raise ModelError(f"a damaged GGUF file: {fault}", where=str(source), hint="download it again") from fault
    said = {name: value.contents() for name, value in reader.fields.items() if len(value.data) <= MOST_VALUES}
    kind = str(said.get("general.architecture"))
    if kind not in KINDS:
        raise ModelError(f"a GGUF file of the kind '{kind}'", where=str(source), needed=", ".join(KINDS))
    tensors = {_name(each.name, kind): each for each in reader.tensors}
    config = _config(said, kind, tensors)
    heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
    end = said.get("tokenizer.ggml.eos_token_id")
    begin = said.get("tokenizer.ggml.bos_token_id") if said.get("tokenizer.ggml.add_bos_token", True) else None
    return Checkpoint(
        source, config, Blocks(kind, tensors, heads if kind == "llama" else {}, str(source), library),
        partial(_write_tokenizer, source), () if end is None else (int(end),),
        None if begin is None else int(begin), str(said.get("tokenizer.chat_template") or ""),
    )  # fmt: skip


def _config(said: Mapping[str, Any], kind: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """What Hugging Face's configuration would say."""
    own = {name: said[f"{kind}.{key}"] for name, key in KEYS.items() if f"{kind}.{key}" in said}
    own["vocab_size"] = int(tensors["embed_tokens.weight"].shape[-1])
    own["model_type"] = KINDS[kind]
    own["tie_word_embeddings"] = "lm_head.weight" not in tensors
    if kind == "gemma3":
        own["query_pre_attn_scalar"] = own["head_dim"]
    return own


def _name(name: str, kind: str) -> str:
    stem, _, end = name.rpartition(".")
    if not stem.startswith("blk."):
        return f"{ENDS.get(stem, stem)}.{end}"
    _, at, part = stem.split(".", 2)
    inside = INSIDE | SANDWICHED if kind == "gemma3" else INSIDE
    return f"layers.{at}.{inside.get(part, part)}.{end}"


def _scales(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.ascontiguousarray(blocks[:, :2]).view(np.float16).astype(np.float32)


def _q8(blocks: NDArray[np.uint8]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    return np.ascontiguousarray(blocks[:, 2:]).view(np.int8), _scales(blocks)


def _q5(blocks: NDArray[np.uint8]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Four bits of two columns in a byte, sixteen apart; the fifth bits apart."""
    high = np.unpackbits(blocks[:, 2:6], axis=1, bitorder="little")
    return ((_halves(blocks[:, 6:]) | (high << 4)).astype(np.int8) - 16), _scales(blocks)


def _q4(blocks: NDArray[np.uint8]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    return (_halves(blocks[:, 2:]).astype(np.int8) - 8), _scales(blocks)


def _halves(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([packed & 15, packed >> 4], axis=1)


UNPACKED: Mapping[str, Callable[[NDArray[np.uint8]], tuple[NDArray[np.int8], NDArray[np.float32]]]] = {
    "Q8_0": _q8, "Q5_0": _q5, "Q4_0": _q4,
}  # fmt: skip


def _in_order(product: Product, heads: int) -> Product:
    """Rows of each head as Hugging Face has them: first halves of all pairs, then second ones."""
    rows = product.shape[0]
    order = np.arange(rows).reshape(heads, rows // heads // 2, 2).swapaxes(1, 2).reshape(-1)
    scales = None if product.scales is None else product.scales[order]
    return Product(product.values[order], scales, product.bits, product.block)


def _write_tokenizer(source: Path, target: Path) -> None:
    """Through transformers, which takes a while; once for each file."""
    library = transformers_module()
    made = library.AutoTokenizer.from_pretrained(str(source.parent), gguf_file=source.name)
    made.backend_tokenizer.save(str(target))
