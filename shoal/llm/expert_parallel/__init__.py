"""Experts in worker processes: each holds some of them, tokens travel there and back, models answer as before."""

from shoal.llm.expert_parallel.plug import parallel
from shoal.llm.expert_parallel.steps import Step, Traffic
from shoal.llm.expert_parallel.tally import Done, Tally
from shoal.llm.expert_parallel.ways import Mode, Ways
from shoal.llm.expert_parallel.workers import Workers, even, workers

__all__ = ["Done", "Mode", "Step", "Tally", "Traffic", "Ways", "Workers", "even", "parallel", "workers"]
