"""What reads the configurations of one kind of model."""

from __future__ import annotations

from typing import Protocol

from shoal.llm.architecture import Architecture
from shoal.llm.config import Config
from shoal.llm.decoder.values import Decoder


class Family(Protocol):
    """A kind of language model."""

    def architecture(self, config: Config) -> Architecture:
        """What the configuration describes.

        Raises:
            ModelError: an entry is missing or of another type.
        """


class Written(Family, Protocol):
    """A kind that can also be written as ONNX and run."""

    def decoder(self, config: Config) -> Decoder:
        """What it computes.

        Raises:
            ModelError: an entry is missing or of another type, or asks for what is not known here.
        """
