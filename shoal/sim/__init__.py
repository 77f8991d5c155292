"""The event simulation of a Program: the same steps and driver, with times from a Pace."""

from shoal.sim.simulate import simulate

__all__ = ["simulate"]
