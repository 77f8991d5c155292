"""What torch.profiler sees of a call. Imported where torch is there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from shoal.measure.trace.chrome import load_chrome
from shoal.measure.trace.values import Trace


def profiled(call: Callable[[], object]) -> Trace:
    """The trace of one call, without gradients; on a machine with CUDA its launches and kernels too."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # else it tells stderr of each of its stages
    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    with torch.no_grad(), profile(activities=activities) as seen:
        call()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    with tempfile.TemporaryDirectory(prefix="shoal-trace-") as folder:
        path = Path(folder, "trace.json")
        seen.export_chrome_trace(str(path))
        return load_chrome(path)
