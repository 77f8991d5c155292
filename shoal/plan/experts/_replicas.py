"""Busy experts held more than once: a baseline that pays with memory."""

from __future__ import annotations

import numpy as np

from shoal.plan.experts._evaluate import Evaluation, layers, one_hot
from shoal.plan.experts._flows import Flows
from shoal.plan.experts._values import F64, ExpertPlacement
from shoal.plan.experts.contract import ExpertProblem


def replicated(problem: ExpertProblem, placement: ExpertPlacement) -> F64:
    """Copies of the busiest experts while memory lasts, each where the layer has least to do.

    Returns:
        (layers, experts, hosts): the part of an expert's tokens that a host computes, the same for each that holds it.
    """
    loads, hosts = problem.flow.loads.mean(0), len(problem.fleet.hosts)
    held = one_hot(placement.array, hosts) > 0
    left = np.array(problem.slots) - placement.held(hosts)
    while True:
        shares: F64 = held / held.sum(-1, keepdims=True)
        could = ~held & (left > 0)
        share = np.where(could.any(-1), loads / held.sum(-1), 0.0)
        if not share.any():
            return shares
        layer, expert = np.unravel_index(share.argmax(), share.shape)
        busy = _seconds(problem, loads[None], shares)[0, layer].sum(0)
        to = int(np.where(could[layer, expert], busy, np.inf).argmin())
        held[layer, expert, to] = True
        left[to] -= 1


def shared(problem: ExpertProblem, shares: F64, flow: Flows) -> Evaluation:
    """What it costs where several hosts hold an expert; a token goes to any of them, whether or not one is near."""
    seconds = _seconds(problem, flow.loads, shares)
    whole = np.divide(seconds, shares, out=np.zeros_like(seconds), where=shares > 0)
    return layers(shares, flow, whole, problem.fleet, problem.shape.token_bytes, problem.combine)


def _seconds(problem: ExpertProblem, loads: F64, shares: F64) -> F64:
    """(steps, layers, experts, hosts) of the tokens that are each host's."""
    parts = loads[..., None] * shares
    return np.stack([host.curve(parts[..., at]) for at, host in enumerate(problem.fleet.hosts)], -1)
