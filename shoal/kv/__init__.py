"""Which tokens a decoder keeps: scores by what attention did to them, and the pruning of a prefill."""

from shoal.kv.pruning import Pruning, stages
from shoal.kv.scores.contract import Score

__all__ = ["Pruning", "Score", "stages"]
