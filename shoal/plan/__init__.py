"""Decide which unit runs what: strategies cut, planners search, lowering makes the Program."""

from shoal.plan.lower import lower
from shoal.plan.planners.mapping_file import mapping_of
from shoal.plan.search import search
from shoal.plan.values import Front, Group, ModelRef, Objective, Plan, Recipe, Replica
from shoal.plan.wishes import Wishes

__all__ = [
    "Front",
    "Group",
    "ModelRef",
    "Objective",
    "Plan",
    "Recipe",
    "Replica",
    "Wishes",
    "lower",
    "mapping_of",
    "search",
]
