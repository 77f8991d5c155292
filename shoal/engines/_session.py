"""How onnxruntime sessions are opened in a worker: one thread pool each, one arena for all."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any


def opened(
    model: Path | bytes, threads: int, *, spin: bool = True, prepack: bool = True, optimised: bool = False
) -> Any:
    """A session of the model on the CPU.

    Args:
        model: its file, or its bytes.
        threads: of each op.
        spin: threads wait busily between ops.
        prepack: keep packed copies of weights.
        optimised: the graph is as it is to run.
    """
    import onnxruntime

    _share_tight_arena()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # faults come as exceptions
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_DISABLE_ALL if optimised else level.ORT_ENABLE_ALL
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    options.add_session_config_entry("session.disable_prepacking", "0" if prepack else "1")
    given = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


@functools.cache
def _share_tight_arena() -> None:
    """Give all sessions of this process one arena that grows by what is asked, not by doubling."""
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    memory = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    same_as_requested = onnxruntime.OrtArenaCfg({"arena_extend_strategy": 1})
    onnxruntime.create_and_register_allocator(memory, same_as_requested)
