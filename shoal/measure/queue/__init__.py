"""A real launch queue: calls of PyTorch sent by a host to a process that executes them in order.

`recorded` and `replay` need torch and are imported where it is there.
"""

from shoal.measure.queue.calls import Call, Calls, products
from shoal.measure.queue.counts import Work
from shoal.measure.queue.host import Group, Pass, Queue, opened

__all__ = ["Call", "Calls", "Group", "Pass", "Queue", "Work", "opened", "products"]
