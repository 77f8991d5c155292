"""Products of ternary weights while they are trained, a gated correction of low rank beside them, and both as stored.

Sources: BitNet b1.58 (arXiv 2402.17764) for the product, HGF (arXiv 2602.05269) for the correction.
"""

from shoal.train.ternary._gates import GatePenalty, hybrid_layers, shut
from shoal.train.ternary._graph import normed_graph, ternary_graph
from shoal.train.ternary._products import FloatProducts, Gate, TernaryProducts, differential
from shoal.train.ternary._sensitive import most_sensitive
from shoal.train.ternary._stored import InputGate, Side, Stored, normed_layers, stored_layers

__all__ = [
    "FloatProducts",
    "Gate",
    "GatePenalty",
    "InputGate",
    "Side",
    "Stored",
    "TernaryProducts",
    "differential",
    "hybrid_layers",
    "most_sensitive",
    "normed_graph",
    "normed_layers",
    "shut",
    "stored_layers",
    "ternary_graph",
]
