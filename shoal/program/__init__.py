"""The narrow waist: the Program, what arrives, who decides, and the header of every message."""

from shoal.program.check import check
from shoal.program.driver import (
    Begun,
    Cancel,
    Command,
    Driver,
    Event,
    Finished,
    Lost,
    Move,
    Start,
    Stop,
    SwitchEpoch,
    WakeAt,
    Woke,
)
from shoal.program.message import HEADER_BYTES, Flag, Header
from shoal.program.pace import Hop, Media, Pace
from shoal.program.ready import Job, ReadySet, ValueKey, inputs_of, outputs_of
from shoal.program.sizes import Size
from shoal.program.values import (
    CLIENT,
    PROTOCOL,
    Edge,
    GroupExchange,
    Program,
    Route,
    Segment,
    State,
    Step,
    Task,
    TensorSpec,
)
from shoal.program.workload import Item, Workload

__all__ = [
    "CLIENT",
    "HEADER_BYTES",
    "PROTOCOL",
    "Begun",
    "Cancel",
    "Command",
    "Driver",
    "Edge",
    "Event",
    "Finished",
    "Flag",
    "GroupExchange",
    "Header",
    "Hop",
    "Item",
    "Job",
    "Lost",
    "Media",
    "Move",
    "Pace",
    "Program",
    "ReadySet",
    "Route",
    "Segment",
    "Size",
    "Start",
    "State",
    "Step",
    "Stop",
    "SwitchEpoch",
    "Task",
    "TensorSpec",
    "ValueKey",
    "WakeAt",
    "Woke",
    "Workload",
    "check",
    "inputs_of",
    "outputs_of",
]
