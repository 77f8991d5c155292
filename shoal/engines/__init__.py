"""Segment and inputs to outputs: the executors, one file each, found by folder."""

from shoal.engines._nbits import onnxruntime_form
from shoal.engines._spelled import engine_name, machine_of
from shoal.engines.contract import Arrays, Engine, Session

__all__ = ["Arrays", "Engine", "Session", "engine_name", "machine_of", "onnxruntime_form"]
