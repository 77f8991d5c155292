"""The narrow waist: the Program, what arrives, who decides, and the header of every message."""

from shoal.program.message import HEADER_BYTES, Flag, Header
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

__all__ = [
    "CLIENT",
    "HEADER_BYTES",
    "PROTOCOL",
    "Edge",
    "Flag",
    "GroupExchange",
    "Header",
    "Program",
    "Route",
    "Segment",
    "Size",
    "State",
    "Step",
    "Task",
    "TensorSpec",
]
