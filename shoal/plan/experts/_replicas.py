"""Busy experts held more than once: a baseline that pays with memory."""

from __future__ import annotations

import numpy as np

from shoal.plan.experts._evaluate import Evaluation, layers, one_hot
from shoal.plan.experts._flows import Flows
from shoal.plan.experts._values import F64, ExpertPlacement
from shoal.plan.experts.contract import ExpertProblem


def replicated(problem: ExpertProblem, placement: ExpertPlacement) -> F64:
    """Copies of the busiest experts while memory lasts, each where its layer has least to do; what gains nothing is left out.

    Returns:
        (layers, experts, hosts): the part of an expert's tokens that a host computes, the same for each that holds it.
    """
    flow, hosts = problem.flow.mean(), len(problem.fleet.hosts)
    shares = one_hot(placement.array, hosts)
    left = np.array(problem.slots) - placement.held(hosts)
    best_s, worth = _tails_s(shared(problem, shares, flow)), np.ones(shares.shape[:2], bool)
    while True:
        could = (shares == 0) & (left > 0)
        part = np.where(could.any(-1) & worth, flow.loads[0] / (shares > 0).sum(-1), 0.0)
        if not part.any():
            return shares
        layer, expert = np.unravel_index(part.argmax(), part.shape)
        busy_s = _seconds(problem, flow.loads, shares)[0, layer].sum(0)
        to = int(np.where(could[layer, expert], busy_s, np.inf).argmin())
        held = shares[layer, expert] > 0
        held[to] = True
        tried = shares.copy()
        tried[layer, expert] = held / held.sum()
        tried_s = _tails_s(shared(problem, tried, flow))
        if tried_s < best_s:
            shares, best_s = tried, tried_s
            left[to] -= 1
        else:
            worth[layer, expert] = False


def shared(problem: ExpertProblem, shares: F64, flow: Flows) -> Evaluation:
    """What it costs where several hosts hold an expert; a token goes to any of them, whether or not one is near."""
    seconds = _seconds(problem, flow.loads, shares)
    whole = np.divide(seconds, shares, out=np.zeros_like(seconds), where=shares > 0)
    return layers(shares, flow, whole, problem.fleet, problem.shape.token_bytes, problem.combine)


def _tails_s(found: Evaluation) -> float:
    """The busiest hosts and the busiest wires."""
    return float(found.host_s.max(-1).sum() + found.wire_s.max(-1, initial=0).sum())


def _seconds(problem: ExpertProblem, loads: F64, shares: F64) -> F64:
    """(steps, layers, experts, hosts) of the tokens that are each host's."""
    parts = loads[..., None] * shares
    return np.stack([host.curve(parts[..., at]) for at, host in enumerate(problem.fleet.hosts)], -1)
