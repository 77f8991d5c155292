"""Simulated hardware that is not here: seconds of kernels from a machine's structure, one machine a file."""

from shoal.machines.contract import Machine, MachineTimes, machine_samples
from shoal.machines.dataflow import Dataflow
from shoal.machines.gpu import Gpu

__all__ = ["Dataflow", "Gpu", "Machine", "MachineTimes", "machine_samples"]
