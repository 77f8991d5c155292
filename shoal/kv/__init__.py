"""Which tokens a decoder keeps and reads: scores by what attention did to them, the pruning of a prefill, page choices."""

from shoal.kv.pruning import Pruning, stages
from shoal.kv.scores.contract import Score
from shoal.kv.selections import Selections

__all__ = ["Pruning", "Score", "Selections", "stages"]
