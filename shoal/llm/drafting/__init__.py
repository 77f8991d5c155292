"""Drafting: a small fast model proposes tokens, the target looks at all of them at once and keeps its own text."""

from shoal.llm.drafting.accept import Accepted, accept_drawn, accept_greedy
from shoal.llm.drafting.drafters import FAMILY, Ask, Drafter, Session
from shoal.llm.drafting.growth import drawn, grown
from shoal.llm.drafting.loop import Drafted, Pilot, Round, generate
from shoal.llm.drafting.process import Elsewhere, elsewhere
from shoal.llm.drafting.sampling import Draw, distributions, drawing
from shoal.llm.drafting.speed import Curve, Speed, chain_length, measure_target
from shoal.llm.drafting.training import Course, trained
from shoal.llm.drafting.tree import ROOT, Budget, Tree
from shoal.llm.drafting.tuner import Trying, Tuner
from shoal.llm.drafting.verifier import Scores, Verifier

__all__ = [
    "FAMILY",
    "ROOT",
    "Accepted",
    "Ask",
    "Budget",
    "Course",
    "Curve",
    "Drafted",
    "Drafter",
    "Draw",
    "Elsewhere",
    "Pilot",
    "Round",
    "Scores",
    "Session",
    "Speed",
    "Tree",
    "Trying",
    "Tuner",
    "Verifier",
    "accept_drawn",
    "accept_greedy",
    "chain_length",
    "distributions",
    "drawing",
    "drawn",
    "elsewhere",
    "generate",
    "grown",
    "measure_target",
    "trained",
]
