"""What a model is, where it may be cut, and the pieces cut from it."""

from shoal.graph.carry import carry_over
from shoal.graph.cuts import Cut, cuts
from shoal.graph.divide import Divided, Part, Split, divide
from shoal.graph.extract import excerpt, extract, save
from shoal.graph.flow import transfer_bytes
from shoal.graph.liveness import boundary, peak_live_bytes
from shoal.graph.load import load
from shoal.graph.names import node_names
from shoal.graph.opened import named
from shoal.graph.pieces import Piece, pieces
from shoal.graph.products import CodedProduct, coded_products, whole_numbers
from shoal.graph.seeded import seeded
from shoal.graph.shelf import shelved
from shoal.graph.values import Carried, Graph, Op, Tensor, Unwritten, Weight
from shoal.graph.weights import array

__all__ = [
    "Carried",
    "CodedProduct",
    "Cut",
    "Divided",
    "Graph",
    "Op",
    "Part",
    "Piece",
    "Split",
    "Tensor",
    "Unwritten",
    "Weight",
    "array",
    "boundary",
    "carry_over",
    "coded_products",
    "cuts",
    "divide",
    "excerpt",
    "extract",
    "load",
    "named",
    "node_names",
    "peak_live_bytes",
    "pieces",
    "save",
    "seeded",
    "shelved",
    "transfer_bytes",
    "whole_numbers",
]
