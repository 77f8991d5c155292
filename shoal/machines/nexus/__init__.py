"""An array of small processing elements between which messages carry instructions to where data is, and its rivals."""

from shoal.machines.nexus._array import FILE, MessageArray, Outcome, joined
from shoal.machines.nexus._cgra import Loop, Loops, VectorLoop, cgra
from shoal.machines.nexus._graphs import laplacian, numbered, rmat, small_world, uniform
from shoal.machines.nexus._programs import bfs, pagerank, rows_at_once, sddmm, single, spmspm, spmv
from shoal.machines.nexus._rival import Rival, Traffic, systolic
from shoal.machines.nexus._sparse import Sparse, of_dense, sparse

__all__ = [
    "FILE",
    "Loop",
    "Loops",
    "MessageArray",
    "Outcome",
    "Rival",
    "Sparse",
    "Traffic",
    "VectorLoop",
    "bfs",
    "cgra",
    "joined",
    "laplacian",
    "numbered",
    "of_dense",
    "pagerank",
    "rmat",
    "rows_at_once",
    "sddmm",
    "single",
    "small_world",
    "sparse",
    "spmspm",
    "spmv",
    "systolic",
    "uniform",
]
