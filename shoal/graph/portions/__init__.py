"""What it takes to make one box of an op's output: the operator algebra every division stands on."""

from shoal.graph.portions.contract import Ints, Portion, Read, Stack, Zero, refuse
from shoal.graph.portions.table import grain, portions, reads

__all__ = ["Ints", "Portion", "Read", "Stack", "Zero", "grain", "portions", "reads", "refuse"]
