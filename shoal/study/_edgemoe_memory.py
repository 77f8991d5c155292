"""`python -m shoal.study._edgemoe_memory FOLDER BUDGET`: a process that decodes, watched from outside.

It builds a model of random weights, says "ready", waits for a line, decodes, says "done" and waits for another; then it
takes the experts out and does the same again.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.errors import WorkerDied

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CONFIG: dict[str, Any] = {
    "model_type": "mixtral", "vocab_size": 256, "hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "num_local_experts": 8, "num_experts_per_tok": 2, "intermediate_size": 1024,
    "bos_token_id": None, "eos_token_id": None, "pad_token_id": None,
}  # fmt: skip
EXPERT = 3 * 256 * 1024 * 4  # bytes
EXPERTS = 32 * EXPERT
M_MMAP_THRESHOLD = -3  # glibc: larger blocks go back to the system when they are freed
TOKENS = 24


def peaks_bytes(folder: Path, budget_bytes: int) -> tuple[int, int]:
    """The most memory that a process has while it decodes, as the system tells others: with all experts, and with a budget.

    Raises:
        WorkerDied: it ended early.
    """
    command = [sys.executable, "-m", __name__, str(folder), str(budget_bytes)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env, text=True) as process:
        try:
            return _peak(process), _peak(process)
        finally:
            if sys.exc_info()[0] is not None:
                process.kill()


def _peak(process: subprocess.Popen[str]) -> int:
    proc = Path("/proc", str(process.pid))
    _heard(process, "ready")
    (proc / "clear_refs").write_text("5", encoding="ascii")  # the high-water mark begins anew
    _told(process)
    _heard(process, "done")
    lines = (proc / "status").read_text(encoding="ascii").splitlines()
    _told(process)
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _heard(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    if process.stdout.readline().strip() != word:
        raise WorkerDied("the process whose memory is watched ended early", needed=word)


def _told(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def main(folder: str, budget_bytes: int) -> None:
    """What the process does."""
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1 << 16)
    import torch

    from shoal.llm.modules import module
    from shoal.llm.offload.experts import Budget, offload
    from shoal.llm.offload.records import write_experts

    torch.set_num_threads(1)
    model = module(CONFIG)
    model.set_experts_implementation("eager")
    _watched(model)
    path = Path(folder, "experts-of-a-process")
    write_experts(model, path)
    taken = offload(model, path, Budget(budget_bytes))
    _watched(model)
    taken.store.close()


def _watched(model: PreTrainedModel) -> None:
    """Decode while somebody looks."""
    import torch

    ctypes.CDLL(None).malloc_trim(0)
    _wait("ready")
    cache, symbol = None, torch.zeros(1, 1, dtype=torch.long)
    with torch.no_grad():
        for _ in range(TOKENS):
            answer = model(symbol, past_key_values=cache, use_cache=True)
            cache, symbol = answer.past_key_values, answer.logits.argmax(-1)
    _wait("done")


def _wait(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()
    sys.stdin.readline()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
