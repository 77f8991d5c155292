"""Native kernels (C++), each held to a numpy reference that also stands in where it is not built."""

from shoal.kernels.chain import Kernel, chain_kernel, climb_chain, sweep_chain
from shoal.kernels.chain_nodes import ChainNode, count_unordered, ordered_nodes, unordered_nodes
from shoal.kernels.chain_values import ChainPlans, ChainTables

__all__ = [
    "ChainNode",
    "ChainPlans",
    "ChainTables",
    "Kernel",
    "chain_kernel",
    "climb_chain",
    "count_unordered",
    "ordered_nodes",
    "sweep_chain",
    "unordered_nodes",
]
