"""Language models: what a configuration alone says of size, cache and work."""

from shoal.llm.architecture import Architecture, Layer
from shoal.llm.config import Config, architecture
from shoal.llm.parts import Attention, Dense, Experts, Latent, Mixer, Product, Scan

__all__ = [
    "Architecture",
    "Attention",
    "Config",
    "Dense",
    "Experts",
    "Latent",
    "Layer",
    "Mixer",
    "Product",
    "Scan",
    "architecture",
]
