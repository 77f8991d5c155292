"""Facts hidden in text, asked for at its end, and a small model that has learned to remember them."""

from shoal.llm.attention.recall.model import recall_model
from shoal.llm.attention.recall.task import Asked, Recall

__all__ = ["Asked", "Recall", "recall_model"]
