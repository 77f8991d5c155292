"""The coordinator: deploy a plan, drive its workers, watch them, and say what happened."""

from shoal.run.coordinator import Coordinator, Outcome
from shoal.run.epochs import EpochsResult, execute_epochs, opened_epochs, simulated_epochs
from shoal.run.execute import Result, Settings, execute
from shoal.run.programs import running, standby
from shoal.run.roster import Standby
from shoal.run.samples import Samples, answered, compare, drawn, read
from shoal.run.service import Service, opened
from shoal.run.upkeep import Pulse, Requests, Sought, Upkeep, among

__all__ = [
    "Coordinator",
    "EpochsResult",
    "Outcome",
    "Pulse",
    "Requests",
    "Result",
    "Samples",
    "Service",
    "Settings",
    "Sought",
    "Standby",
    "Upkeep",
    "among",
    "answered",
    "compare",
    "drawn",
    "execute",
    "execute_epochs",
    "opened",
    "opened_epochs",
    "read",
    "running",
    "simulated_epochs",
    "standby",
]
