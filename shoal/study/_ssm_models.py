"""Models of the study of state-space models: small ones of one size, and public ones by their configurations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shoal.llm.profile import Subject

Entries = dict[str, Any]
HEAD = 32  # width of attention's heads
SCANNED = 64  # width of the scan's heads, and its state
CONTEXT = 1 << 17

# Public configurations: what of them decides sizes. Kept as published by their makers beside the weights.
QWEN_500M: Entries = {
    "model_type": "qwen2", "vocab_size": 151936, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24,
    "num_attention_heads": 14, "num_key_value_heads": 2, "max_position_embeddings": 32768, "tie_word_embeddings": True,
}  # fmt: skip
QWEN_1500M: Entries = QWEN_500M | {
    "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
    "max_position_embeddings": 131072,
}  # fmt: skip
LLAMA_1B: Entries = {
    "model_type": "llama", "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "max_position_embeddings": 131072,
    "tie_word_embeddings": True,
}  # fmt: skip
LLAMA_3B: Entries = LLAMA_1B | {
    "hidden_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 24, "head_dim": 128,
}  # fmt: skip


def _mamba2(width: int, layers: int) -> Entries:
    return {
        "model_type": "mamba2", "vocab_size": 50288, "hidden_size": width, "num_hidden_layers": layers,
        "num_heads": width // 32, "head_dim": 64, "state_size": 128, "n_groups": 1, "expand": 2,
        "tie_word_embeddings": True,
    }  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """A Transformer and a state-space model of about its size."""

    attending: tuple[str, Entries]
    scanning: tuple[str, Entries]


PAIRS = (
    Pair(("Qwen2.5 0.5B", QWEN_500M), ("Mamba-2 370M", _mamba2(1024, 48))),
    Pair(("Llama 3.2 1B", LLAMA_1B), ("Mamba-2 1.3B", _mamba2(2048, 48))),
    Pair(("Qwen2.5 1.5B", QWEN_1500M), ("Mamba-2 1.3B", _mamba2(2048, 48))),
    Pair(("Llama 3.2 3B", LLAMA_3B), ("Mamba-2 2.7B", _mamba2(2560, 64))),
)


def matched(width: int, layers: int, chunk: int, names: Sequence[str]) -> tuple[Subject, ...]:
    """Models of one width and about as many weights as a Mamba-2 of so many layers.

    Args:
        width: of all.
        layers: of Mamba-2; Llama has half as many, Bamba three quarters, one of them of attention.
        chunk: tokens, of the scans that are not transformers' own.
        names: those wanted: "llama", "mamba2", "mamba2-chunked", "bamba", "bamba-chunked".
    """
    from shoal.llm.profile import Subject

    scanning = _scanning(width, layers)
    wanted = Subject("", scanning).architecture.parameters
    configs = {"mamba2": scanning, "llama": _llama(width, layers // 2), "bamba": _bamba(width, 3 * layers // 4)}
    configs |= {name: _widened(configs[name], wanted) for name in ("llama", "bamba")}
    return tuple(
        Subject(name, configs[name.partition("-")[0]], scan=chunk if name.endswith("-chunked") else 0)
        for name in names
    )


def _widened(config: Entries, wanted: int) -> Entries:
    """The configuration with gated products so wide that it has about as many weights."""
    from shoal.llm import architecture

    def parameters(hidden: int) -> int:
        return architecture(config | {"intermediate_size": hidden}).parameters

    each = parameters(2) - parameters(1)
    return config | {"intermediate_size": max(1, round((wanted - parameters(1)) / each) + 1)}


def _ends(width: int) -> Entries:
    return {"vocab_size": 256, "hidden_size": width, "tie_word_embeddings": True, "bos_token_id": None,
            "eos_token_id": None, "pad_token_id": None}  # fmt: skip


def _attending(width: int) -> Entries:
    heads = width // HEAD
    return {"num_attention_heads": heads, "num_key_value_heads": heads, "max_position_embeddings": CONTEXT}


def _llama(width: int, layers: int) -> Entries:
    return {"model_type": "llama", "num_hidden_layers": layers, **_ends(width), **_attending(width)}


def _scanning(width: int, layers: int) -> Entries:
    return {
        "model_type": "mamba2", "num_hidden_layers": layers, "num_heads": 2 * width // SCANNED, "head_dim": SCANNED,
        "state_size": SCANNED, "n_groups": 1, "expand": 2, **_ends(width),
    }  # fmt: skip


def _bamba(width: int, layers: int) -> Entries:
    return {
        "model_type": "bamba", "num_hidden_layers": layers, "attn_layer_indices": [layers // 2],
        "mamba_n_heads": 2 * width // SCANNED, "mamba_d_head": SCANNED, "mamba_d_state": SCANNED, "mamba_n_groups": 1,
        **_ends(width), **_attending(width),
    }  # fmt: skip
