"""The coordinator: deploy a plan, drive its workers, watch them, and say what happened."""

from shoal.run.coordinator import Coordinator, Outcome
from shoal.run.execute import Result, Settings, execute
from shoal.run.programs import running
from shoal.run.samples import Samples, answered, compare, drawn, read
from shoal.run.service import Service, opened

__all__ = [
    "Coordinator",
    "Outcome",
    "Result",
    "Samples",
    "Service",
    "Settings",
    "answered",
    "compare",
    "drawn",
    "execute",
    "opened",
    "read",
    "running",
]
