"""Experts of language models made fewer, smaller or rarer: one file a technique, each undone to the last bit."""

from shoal.llm.experts._blocks import Block, blocks, stored_bits
from shoal.llm.experts._compose import together
from shoal.llm.experts._handle import Handle
from shoal.llm.experts._judge import Figures, judged
from shoal.llm.experts._load import Load, load_of, mutual_bits
from shoal.llm.experts._seen import Seen, seen
from shoal.llm.experts.contract import FAMILY, Settled, Technique

__all__ = [
    "FAMILY",
    "Block",
    "Figures",
    "Handle",
    "Load",
    "Seen",
    "Settled",
    "Technique",
    "blocks",
    "judged",
    "load_of",
    "mutual_bits",
    "seen",
    "stored_bits",
    "together",
]
