"""A taxonomy of language models on devices as a map of what runs here: each leaf with a check that is run apart."""

from shoal.study.coverage._advice import Advice, Limits, Tried, advise
from shoal.study.coverage._alone import Figures, run
from shoal.study.coverage._cases import Case, cases
from shoal.study.coverage._judge import Judged, apart, every, judged
from shoal.study.coverage._leaves import Bound, Leaf, Leaves, leaves
from shoal.study.coverage._shown import as_json, count, figures, page, tree

__all__ = [
    "Advice",
    "Bound",
    "Case",
    "Figures",
    "Judged",
    "Leaf",
    "Leaves",
    "Limits",
    "Tried",
    "advise",
    "apart",
    "as_json",
    "cases",
    "count",
    "every",
    "figures",
    "judged",
    "leaves",
    "page",
    "run",
    "tree",
]
