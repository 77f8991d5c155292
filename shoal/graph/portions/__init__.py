"""What it takes to make one box of an op's output: the operator algebra every division stands on."""

from shoal.graph.portions._table import boxes, grain, portions, reads
from shoal.graph.portions.contract import Ints, Portion, Read, Stack, Zero, refuse

__all__ = ["Ints", "Portion", "Read", "Stack", "Zero", "boxes", "grain", "portions", "reads", "refuse"]
