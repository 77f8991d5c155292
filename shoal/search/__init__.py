"""Searching and choosing: dominance, knee, hypervolume and a readable few of many points."""

from shoal.search.known import Staircase
from shoal.search.pareto import front, hypervolume, knee, representatives

__all__ = ["Staircase", "front", "hypervolume", "knee", "representatives"]
