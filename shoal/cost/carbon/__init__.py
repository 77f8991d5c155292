"""Carbon dioxide: of making machines and of running them, as ratios of two designs and in kilograms."""

from shoal.cost.carbon.absolute import (
    FACTORS,
    Factor,
    amortised_kg,
    embodied_kg,
    embodied_parts_kg,
    operational_kg,
)
from shoal.cost.carbon.breakeven import PaysBack, best_gain, crossing, pays_back, pays_from
from shoal.cost.carbon.draws import Draws
from shoal.cost.carbon.fleets import Comparison, Row, Work, compare_fleets
from shoal.cost.carbon.rates import carbon_rates
from shoal.cost.carbon.ratios import Compared, Design, compare, swapped, verdict, weighed
from shoal.cost.carbon.sea import NEVER_CONCURRENT, Common, Kernel, Moved, best_moved, built

__all__ = [
    "FACTORS",
    "NEVER_CONCURRENT",
    "Common",
    "Compared",
    "Comparison",
    "Design",
    "Draws",
    "Factor",
    "Kernel",
    "Moved",
    "PaysBack",
    "Row",
    "Work",
    "amortised_kg",
    "best_gain",
    "best_moved",
    "built",
    "carbon_rates",
    "compare",
    "compare_fleets",
    "crossing",
    "embodied_kg",
    "embodied_parts_kg",
    "operational_kg",
    "pays_back",
    "pays_from",
    "swapped",
    "verdict",
    "weighed",
]
