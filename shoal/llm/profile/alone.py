"""`python -m shoal.llm.profile.alone`: the memory of models one after another, in a process that does nothing else."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal import codec
from shoal.llm.library import transformers_module
from shoal.llm.profile.fitting import lacks_memory, limited, no_fit, status_bytes
from shoal.llm.profile.passes import prefill, prompt, step
from shoal.llm.profile.peak import Job, Peak, Trial
from shoal.llm.profile.subject import Subject
from shoal.llm.profile.timing import Point

if TYPE_CHECKING:
    from transformers import PreTrainedModel

M_MMAP_THRESHOLD, SMALL_BYTES = -3, 1 << 16  # glibc: larger blocks go back to the system when they are freed
WARM_UP = 300  # tokens: more than a chunk


def main(job_file: str) -> None:
    """Do the job and print the peaks."""
    sys.stdout.buffer.write(codec.encode(_peaks(codec.load(Job, Path(job_file)))))


def _peaks(job: Job) -> tuple[Peak, ...]:
    ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, SMALL_BYTES)
    transformers_module("torch").set_num_threads(job.threads)
    by_subject = groupby(job.trials, key=lambda each: each.subject)
    return tuple(peak for subject, trials in by_subject for peak in _of(subject, trials))


def _of(subject: Subject, trials: Iterable[Trial]) -> list[Peak]:
    """All trials of a model, which is there for no longer."""
    with subject.opened() as model:
        _pass(model, Point(WARM_UP), subject)  # libraries load on the way, and keep what they need
        return [_peak(model, trial) for trial in trials]


def _peak(model: PreTrainedModel, trial: Trial) -> Peak:
    name, point, weights_bytes = trial.subject.name, trial.point, _bytes(model.parameters())
    gc.collect()  # a fault before holds tensors in a cycle
    left_bytes = max(trial.limit_bytes - weights_bytes, 1) if trial.limit_bytes else 0
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the high-water mark begins anew
        base_bytes = status_bytes("VmRSS") - weights_bytes
        with limited(left_bytes):
            cache_bytes = _pass(model, point, trial.subject)
    except (RuntimeError, MemoryError) as fault:
        if not lacks_memory(fault):
            raise
        return Peak(name, point, fault=no_fit(fault))
    return Peak(name, point, status_bytes("VmHWM") - base_bytes, cache_bytes)


def _pass(model: PreTrainedModel, point: Point, subject: Subject) -> int:
    """A prefill and a token; bytes of what is kept."""
    read = prefill(model, prompt(model, point.batch, point.context), subject.passes)
    read = step(model, read.logits.argmax(-1, keepdim=True), read)
    return _bytes(_kept(read.cache))


def _kept(cache: Any) -> list[Any]:
    """The tensors of a cache of transformers: keys and values, states of scans and convolutions."""
    found = []
    for layer in cache.layers:
        found += [getattr(layer, name, None) for name in ("keys", "values")]
        for name in ("conv_states", "recurrent_states"):
            found += list(getattr(layer, name, {}).values())
    return [each for each in found if each is not None]


def _bytes(tensors: Any) -> int:
    return sum(each.numel() * each.element_size() for each in tensors)


if __name__ == "__main__":
    main(sys.argv[1])
