"""Experts on a fast device with little memory and on a slow one that has them all: answers are computed on both at once."""

from shoal.llm.expert_hosting.hosting import Hosting, hosted
from shoal.llm.expert_hosting.layers import Hosted, Turn
from shoal.llm.expert_hosting.measured import decoded_s, hiding, measured

__all__ = ["Hosted", "Hosting", "Turn", "decoded_s", "hiding", "hosted", "measured"]
