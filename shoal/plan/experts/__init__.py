"""Where experts lie: what tokens then cost, and ways to place experts by what is known of the tokens' routes."""

from shoal.plan.experts._dependency import Dependency, dependency
from shoal.plan.experts._evaluate import Evaluation, evaluated
from shoal.plan.experts._fleet import clustered, expert_fleet
from shoal.plan.experts._flows import Combine, Flows, flows
from shoal.plan.experts._parcels import Parcels, parcels
from shoal.plan.experts._plan import ExpertPlan, Forecast
from shoal.plan.experts._replicas import replicated, shared
from shoal.plan.experts._values import Curve, ExpertFleet, ExpertPlacement, ExpertShape, Host, Wire
from shoal.plan.experts.contract import FAMILY, ExpertProblem, Placed, Placer, check_room, placed, problem

__all__ = [
    "FAMILY",
    "Combine",
    "Curve",
    "Dependency",
    "Evaluation",
    "ExpertFleet",
    "ExpertPlacement",
    "ExpertPlan",
    "ExpertProblem",
    "ExpertShape",
    "Flows",
    "Forecast",
    "Host",
    "Parcels",
    "Placed",
    "Placer",
    "Wire",
    "check_room",
    "clustered",
    "dependency",
    "evaluated",
    "expert_fleet",
    "flows",
    "parcels",
    "placed",
    "problem",
    "replicated",
    "shared",
]
