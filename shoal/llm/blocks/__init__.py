"""Language models as rows of blocks, made from a configuration alone: what one item asks of each is told, no weight is there."""

from shoal.llm.blocks._made import Step
from shoal.llm.blocks.contract import Blocks

__all__ = ["Blocks", "Step"]
