"""A decoder's matrices cut among processes, which add what they have computed: transformers' modules with hooks."""

from shoal.llm.tensor_parallel.plug import parallel
from shoal.llm.tensor_parallel.processes import answer, answers
from shoal.llm.tensor_parallel.values import Told

__all__ = ["Told", "answer", "answers", "parallel"]
