"""Gemma 3."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shoal.errors import ModelError
from shoal.llm.architecture import Architecture, Layer
from shoal.llm.config import Config
from shoal.llm.decoder.rotary import THETA, Rotary, rotary
from shoal.llm.decoder.values import Decoder
from shoal.llm.families import _common
from shoal.llm.parts import Dense

WHOLE_THETA = 1e6
WHOLE_EVERY = 6  # layers, one of which sees the whole sequence and the others a window
KINDS = ("sliding_attention", "full_attention")


@dataclass(frozen=True)
class Gemma3Text:
    """Layers with a window and some without, norms before and after each part. [Gemma Team, "Gemma 3", 2025]"""

    def architecture(self, config: Config) -> Architecture:
        """See `Family`."""
        product = Dense(config.size("intermediate_size"))
        window = config.size("sliding_window", 4096)
        layers = [
            Layer(
                _common.attention(config, window=0 if kind == KINDS[1] else window, normed=True), product, norms=4
            )
            for kind in self._kinds(config)
        ]
        return _common.whole(config, layers, tied=True)

    def decoder(self, config: Config) -> Decoder:
        """See `Written`."""
        made = _common.decoder(config, self.architecture(config))
        places = tuple(self._places(config, kind) for kind in self._kinds(config))
        scale = config.size("query_pre_attn_scalar", 256) ** -0.5
        return replace(
            made, places=places, scale=scale, activation="gelu", sandwiched=True, raised=True, lifted=True
        )

    def _places(self, config: Config, kind: str) -> Rotary:
        if kind == KINDS[0] and not config.entries.get("rope_parameters"):
            return Rotary(config.get("rope_local_base_freq", THETA))
        return rotary(config, kind, WHOLE_THETA if kind == KINDS[1] else THETA)

    def _kinds(self, config: Config) -> list[str]:
        count = config.size("num_hidden_layers")
        every = config.size("sliding_window_pattern", WHOLE_EVERY)
        usual = [KINDS[(at + 1) % every == 0] for at in range(count)]
        said: list[str] = config.get("layer_types", usual)
        if len(said) != count or not set(said) <= set(KINDS):
            raise ModelError("the configuration's kinds of layers do not fit", where=config.source,
                             needed=f"{count} of {' and '.join(KINDS)}", had=f"{len(said)}: {sorted(set(said))}")  # fmt: skip
        return said
