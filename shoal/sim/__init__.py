"""The event simulation of a Program: the same steps and driver, with times from a Pace, noise and faults."""

from shoal.sim.launch import simulate_launches
from shoal.sim.launch_system import LaunchSystem, launch_system
from shoal.sim.scenario import Fault, LinkSlows, Noise, Scenario, UnitDies, UnitReturns, UnitSlows
from shoal.sim.simulate import MAX_SPANS, attempt, simulate, simulate_epochs
from shoal.sim.simulation import Trial

__all__ = [
    "MAX_SPANS",
    "Fault",
    "LaunchSystem",
    "LinkSlows",
    "Noise",
    "Scenario",
    "Trial",
    "UnitDies",
    "UnitReturns",
    "UnitSlows",
    "attempt",
    "launch_system",
    "simulate",
    "simulate_epochs",
    "simulate_launches",
]
