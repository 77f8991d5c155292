"""A vision transformer with experts on an FPGA: what its ideas do to values, to ports and memory, and to an image's time."""

from shoal.machines.edge_moe._executor import Answered, FixedVit
from shoal.machines.edge_moe._experts import Chosen, Loads, best, loads, queues
from shoal.machines.edge_moe._frame import Ways, drawn_choices, frame, port_words, separate, stages
from shoal.machines.edge_moe._gelu import GeluTable, gelu
from shoal.machines.edge_moe._resources import Part, bram_of, check, dsp_of, parts
from shoal.machines.edge_moe._schedules import SCHEDULES, Schedule, schedule
from shoal.machines.edge_moe._shape import Shape
from shoal.machines.edge_moe._softmax import FixedSoftmax, single_pass, two_pass
from shoal.machines.edge_moe._stages import Stage, spans, total

__all__ = [
    "SCHEDULES",
    "Answered",
    "Chosen",
    "FixedSoftmax",
    "FixedVit",
    "GeluTable",
    "Loads",
    "Part",
    "Schedule",
    "Shape",
    "Stage",
    "Ways",
    "best",
    "bram_of",
    "check",
    "drawn_choices",
    "dsp_of",
    "frame",
    "gelu",
    "loads",
    "parts",
    "port_words",
    "queues",
    "schedule",
    "separate",
    "single_pass",
    "spans",
    "stages",
    "total",
    "two_pass",
]
