"""The event simulation of a Program: the same steps and driver, with times from a Pace."""

from shoal.sim.simulate import simulate, simulate_epochs

__all__ = ["simulate", "simulate_epochs"]
