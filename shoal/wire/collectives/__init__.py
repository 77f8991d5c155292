"""Exchanges of a group: what all its members do together with arrays of one size."""

from shoal.wire.collectives._group import Group, group_program
from shoal.wire.collectives.contract import FAMILY, Collective, even

__all__ = ["FAMILY", "Collective", "Group", "even", "group_program"]
