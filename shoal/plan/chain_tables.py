"""Costs of every possible group of a chain, tabulated for the label programme."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shoal.kernels import ChainTables
from shoal.plan.chain import Chain

F64 = NDArray[np.float64]
Ints = NDArray[np.int64]


def tabulate(chain: Chain) -> ChainTables:
    """Every group's costs by the definitions of `shoal.plan.chain`."""
    devices, counts = np.unique(chain.device_of, return_counts=True)
    shared = devices[counts > 1].tolist()
    shared_of = np.array([shared.index(d) if d in shared else -1 for d in chain.device_of.tolist()], np.int64)
    idle_w, kind_of = np.unique(chain.idle_w, return_inverse=True)
    run_s, dynamic_j, memory = _groups(chain)
    run_s[memory > chain.memory_limit[:, None, None]] = np.inf
    lead_s = run_s.copy()
    lead_s[:, :, -1] += chain.exit_s[:, None]
    sent = chain.send_j[:, None] * chain.cut_bytes
    sent[:, -1] = 0.0
    dynamic_j += np.where(shared_of[:, None] < 0, sent, 0.0)[:, None, :]
    finite = [np.where(np.isfinite(t), t, 0.0) for t in (chain.seconds, chain.hop_busy_s)]
    return ChainTables(
        run_s, lead_s, dynamic_j, memory, *_arrivals(chain, sent, shared_of), idle_w, kind_of.astype(np.int64), shared_of,
        np.array([chain.memory_limit[chain.device_of == device][0] for device in shared], np.float64),
        (1 + 1e-9) * float(finite[0].max(axis=1).sum() + finite[1].max()),
    )  # fmt: skip


def _groups(chain: Chain) -> tuple[F64, F64, F64]:
    """Seconds, joules and memory of all groups, each (m, n + 1, n + 1); inf seconds where e ≤ c."""
    n, m = chain.pieces, chain.units
    run_s, dynamic_j, memory = np.full((m, n + 1, n + 1), np.inf), *np.zeros((2, m, n + 1, n + 1))
    for c in range(n):
        run_s[:, c, c + 1 :] = np.cumsum(chain.seconds[c:], axis=0).T
        dynamic_j[:, c, c + 1 :] = np.cumsum(chain.joules[c:], axis=0).T
        held = np.cumsum(chain.weights_bytes[c:], axis=0) + np.maximum.accumulate(chain.live_bytes[c:], axis=0)
        buffers = chain.window * (chain.cut_bytes[c] + chain.cut_bytes[c + 1 :])
        memory[:, c, c + 1 :] = held.T + buffers + chain.base_bytes[:, None]
    return run_s, dynamic_j, memory


def _arrivals(chain: Chain, sent: F64, shared_of: Ints) -> tuple[F64, F64, F64, F64]:
    """Hop seconds, busy seconds, received and late sent joules by sender (client last), receiver and cut."""
    n, m = chain.pieces, chain.units
    hop_s, busy_s = np.full((m + 1, m, n + 1), np.inf), np.zeros((m + 1, m, n + 1))
    hop_s[:m], busy_s[:m] = chain.hop_s.transpose(1, 2, 0), chain.hop_busy_s.transpose(1, 2, 0)
    hop_s[m, :, 0] = chain.entry_s
    recv_j, send_j = np.zeros((2, m + 1, m, n + 1))
    apart = (chain.device_of[:, None] != chain.device_of)[:, :, None]
    recv_j[:m] = np.where(apart, (chain.recv_j[:, None] * chain.cut_bytes)[None], 0.0)
    send_j[:m] = np.where(apart & (shared_of >= 0)[:, None, None], sent[:, None, :], 0.0)
    return hop_s, busy_s, recv_j, send_j
