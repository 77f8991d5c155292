"""Searching and choosing: dominance, knee, hypervolume, a readable few; integer programmes and annealing."""

from shoal.search.anneal import Annealed, Cooling, anneal
from shoal.search.known import Staircase
from shoal.search.milp import Milp, Solution
from shoal.search.pareto import front, hypervolume, knee, representatives

__all__ = [
    "Annealed",
    "Cooling",
    "Milp",
    "Solution",
    "Staircase",
    "anneal",
    "front",
    "hypervolume",
    "knee",
    "representatives",
]
