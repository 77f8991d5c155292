"""Devices, units and links."""

from shoal.fleet.values import Device, Fleet, Link, OperatingPoint, Unit

__all__ = ["Device", "Fleet", "Link", "OperatingPoint", "Unit"]
