"""The module, as transformers knows others: configuration, `forward`, `generate`.

Source: Zhu et al., "Scalable MatMul-free Language Modeling", arXiv 2406.02528: no product of two activations is a
matrix product. Ternary layers are those of `shoal.train.ternary`.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM, GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from shoal.train.language._module import Norm
from shoal.train.ternary._layers import TernaryLinear


class MatmulFreeConfig(PreTrainedConfig):  # type: ignore[misc]  # of an untyped library
    """Sizes, by the names that others have for them."""

    model_type = "matmul_free"
    vocab_size: int = 256
    hidden_size: int = 256
    intermediate_size: int = 704
    num_hidden_layers: int = 4
    max_position_embeddings: int = 4096
    rms_norm_eps: float = 1e-5
    initializer_range: float = 0.06
    tie_word_embeddings: bool = True
    use_cache: bool = False  # `generate` reads everything anew; `MatmulFree.step` does not


class Recurrence(nn.Module):
    """What lets a token see others: h ← f·h + (1 − f)·c, channel by channel, and g lets some of it out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.f_proj, self.c_proj, self.g_proj = (TernaryLinear(width, width, normed=False) for _ in range(3))
        self.o_proj = TernaryLinear(width, width)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """(batch, places, width) and what is kept of those before, (batch, width): the same after these."""
        forget, told = torch.sigmoid(self.f_proj(x)), functional.silu(self.c_proj(x))
        states = []
        for f, c in zip(forget.unbind(1), told.unbind(1), strict=True):
            state = torch.lerp(c, state, f)
            states.append(state)
        found: Tensor = self.o_proj(torch.sigmoid(self.g_proj(x)) * torch.stack(states, 1))
        return found, state


class Gated(nn.Module):
    """What each token goes through by itself."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_proj, self.up_proj = (TernaryLinear(width, hidden, normed=False) for _ in range(2))
        self.down_proj = TernaryLinear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Of the same shape."""
        found: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return found


class Block(nn.Module):
    """One layer."""

    def __init__(self, config: MatmulFreeConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.input_layernorm, self.post_attention_layernorm = (Norm(width, config.rms_norm_eps) for _ in range(2))
        self.mixer, self.mlp = Recurrence(width), Gated(width, config.intermediate_size)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """As `Recurrence.forward`."""
        mixed, state = self.mixer(self.input_layernorm(x), state)
        x = x + mixed
        return x + self.mlp(self.post_attention_layernorm(x)), state


class MatmulFree(PreTrainedModel, GenerationMixin):  # type: ignore[misc]  # likewise
    """(batch, places) symbols → logits of what follows each; the embedding is the head."""

    config_class: ClassVar[Any] = MatmulFreeConfig
    config: MatmulFreeConfig

    def __init__(self, config: MatmulFreeConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        self.norm = Norm(config.hidden_size, config.rms_norm_eps)
        self.post_init()

    def forward(self, input_ids: Tensor, **_: Any) -> CausalLMOutput:
        """All logits."""
        return CausalLMOutput(logits=self.step(input_ids, self.begin(len(input_ids)))[0])

    def begin(self, batch: int) -> Tensor:
        """What is kept of no tokens: (layers, batch, width)."""
        return torch.zeros(len(self.layers), batch, self.config.hidden_size)

    def step(self, symbols: Tensor, states: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of further symbols, and what is then kept."""
        x, kept = self.embed_tokens(symbols), []
        for layer, before in zip(self.layers, states, strict=True):
            x, after = layer(x, before)
            kept.append(after)
        return self.norm(x) @ self.embed_tokens.weight.T, torch.stack(kept)

    def prepare_inputs_for_generation(self, input_ids: Tensor, **_: Any) -> dict[str, Any]:
        """For `generate`."""
        return {"input_ids": input_ids}


AutoConfig.register(MatmulFreeConfig.model_type, MatmulFreeConfig)
AutoModelForCausalLM.register(MatmulFreeConfig, MatmulFree)
