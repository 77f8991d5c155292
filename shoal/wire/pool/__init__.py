"""Memory that processes share and that adds: who writes is counted, and who reads is told when all have written.

Emulates the memory of "FengHuang: Next-Generation Memory Orchestration for AI Inferencing", arXiv 2511.10753, 2025.
"""

from shoal.wire.pool.exchanges import Exchanges, exchange_layout
from shoal.wire.pool.pooled import pooled
from shoal.wire.pool.port import Absent, Port
from shoal.wire.pool.values import Layout, Shared

__all__ = ["Absent", "Exchanges", "Layout", "Port", "Shared", "exchange_layout", "pooled"]
