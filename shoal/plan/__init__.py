"""Decide which unit runs what: strategies cut, planners search, lowering makes the Program."""

from shoal.plan.lower import lower
from shoal.plan.planners.mapping_file import mapping_of
from shoal.plan.pool_cache import ScheduleCache, bucket
from shoal.plan.pool_costs import assess
from shoal.plan.pool_dp import pool_front
from shoal.plan.pool_judge import Judged, judge
from shoal.plan.pool_lower import drawn_weights, pool_inputs, pool_program, undivided
from shoal.plan.pool_modes import MODES, RHO, choose, hand_rule, score, single_type, solve_pools, static_schedule
from shoal.plan.pool_systems import FPGA, GPU, LINKS, gcn_chain, gin_chain, gpu_fpga_pools, window_chain
from shoal.plan.pools import (
    HOST,
    Chain,
    DeviceType,
    KernelSpec,
    Limits,
    PoolLink,
    PoolPoint,
    PoolProblem,
    Pools,
    PoolSchedule,
    Stage,
)
from shoal.plan.search import search
from shoal.plan.values import Front, Group, ModelRef, Objective, Plan, Recipe, Replica
from shoal.plan.wishes import Wishes

__all__ = [
    "FPGA",
    "GPU",
    "HOST",
    "LINKS",
    "MODES",
    "RHO",
    "Chain",
    "DeviceType",
    "Front",
    "Group",
    "Judged",
    "KernelSpec",
    "Limits",
    "ModelRef",
    "Objective",
    "Plan",
    "PoolLink",
    "PoolPoint",
    "PoolProblem",
    "PoolSchedule",
    "Pools",
    "Recipe",
    "Replica",
    "ScheduleCache",
    "Stage",
    "Wishes",
    "assess",
    "bucket",
    "choose",
    "drawn_weights",
    "gcn_chain",
    "gin_chain",
    "gpu_fpga_pools",
    "hand_rule",
    "judge",
    "lower",
    "mapping_of",
    "pool_front",
    "pool_inputs",
    "pool_program",
    "score",
    "search",
    "single_type",
    "solve_pools",
    "static_schedule",
    "undivided",
    "window_chain",
]
