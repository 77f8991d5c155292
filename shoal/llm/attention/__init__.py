"""Policies of caches in transformers' models, and which heads need all that they see."""

from shoal.llm.attention.gates import GateRecipe, Gates, learned_gates, mass_gates
from shoal.llm.attention.plug import attending, empty_cache, generate, using

__all__ = [
    "GateRecipe",
    "Gates",
    "attending",
    "empty_cache",
    "generate",
    "learned_gates",
    "mass_gates",
    "using",
]
