"""Experts of a trained model placed over a fleet by the routes of its own texts, and served as they were placed."""

from shoal.llm.expert_plan.planning import Found, Question
from shoal.llm.expert_plan.serving import Serving, serving

__all__ = ["Found", "Question", "Serving", "serving"]
