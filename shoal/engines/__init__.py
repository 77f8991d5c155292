"""Segment and inputs to outputs: the executors, one file each, found by folder."""

from shoal.engines.contract import Arrays, Engine, Session

__all__ = ["Arrays", "Engine", "Session"]
