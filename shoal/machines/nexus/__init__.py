"""An array of small processing elements between which messages carry instructions to where data is, and its rivals."""

from shoal.machines.nexus._array import FILE, MessageArray, Outcome, joined
from shoal.machines.nexus._cgra import LANES, Mapped, cgra
from shoal.machines.nexus._files import matrix_market
from shoal.machines.nexus._graphs import laplacian, numbered, rmat, small_world, uniform
from shoal.machines.nexus._lanes import Body
from shoal.machines.nexus._loops import (
    Wave,
    bfs_loops,
    runs_of,
    sddmm_loops,
    spmm_loops,
    spmspm_loops,
    spmv_loops,
    sssp_loops,
)
from shoal.machines.nexus._program import check_total
from shoal.machines.nexus._programs import bfs, pagerank, rows_at_once, sddmm, single, spmspm, spmv, sssp
from shoal.machines.nexus._rival import Rival, Traffic, systolic
from shoal.machines.nexus._schedules import Columns, Flat, Inner, Loops, Slices
from shoal.machines.nexus._sparse import Array, Floats, Ints, Sparse, of_dense, sparse

__all__ = [
    "FILE",
    "LANES",
    "Array",
    "Body",
    "Columns",
    "Flat",
    "Floats",
    "Inner",
    "Ints",
    "Loops",
    "Mapped",
    "MessageArray",
    "Outcome",
    "Rival",
    "Slices",
    "Sparse",
    "Traffic",
    "Wave",
    "bfs",
    "bfs_loops",
    "cgra",
    "check_total",
    "joined",
    "laplacian",
    "matrix_market",
    "numbered",
    "of_dense",
    "pagerank",
    "rmat",
    "rows_at_once",
    "runs_of",
    "sddmm",
    "sddmm_loops",
    "single",
    "small_world",
    "sparse",
    "spmm_loops",
    "spmspm",
    "spmspm_loops",
    "spmv",
    "spmv_loops",
    "sssp",
    "sssp_loops",
    "systolic",
    "uniform",
]
