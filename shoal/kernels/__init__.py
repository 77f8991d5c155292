"""Native kernels (C++), each held to a numpy reference that also stands in where it is not built."""

from shoal.kernels.blocks import Blocks, laid_out, taken
from shoal.kernels.chain import Kernel, chain_kernel, climb_chain, sweep_chain
from shoal.kernels.chain_nodes import ChainNode, count_unordered, ordered_nodes, unordered_nodes
from shoal.kernels.chain_values import ChainPlans, ChainTables
from shoal.kernels.lowbit import LowBit, lowbit_paths, product

__all__ = [
    "Blocks",
    "ChainNode",
    "ChainPlans",
    "ChainTables",
    "Kernel",
    "LowBit",
    "chain_kernel",
    "climb_chain",
    "count_unordered",
    "laid_out",
    "lowbit_paths",
    "ordered_nodes",
    "product",
    "sweep_chain",
    "taken",
    "unordered_nodes",
]
