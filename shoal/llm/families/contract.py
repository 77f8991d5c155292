"""What reads the configurations of one kind of model."""

from __future__ import annotations

from typing import Protocol

from shoal.llm.architecture import Architecture
from shoal.llm.config import Config


class Family(Protocol):
    """A kind of language model."""

    def architecture(self, config: Config) -> Architecture:
        """What the configuration describes.

        Raises:
            ModelError: an entry is missing or of another type.
        """
