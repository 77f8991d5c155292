"""Decide which unit runs what: strategies cut, planners search, lowering makes the Program."""

from shoal.plan.lower import lower
from shoal.plan.planners.mapping_file import mapping_of
from shoal.plan.search import Wishes, search
from shoal.plan.values import Front, Group, ModelRef, Objective, Plan, Recipe, Replica

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
