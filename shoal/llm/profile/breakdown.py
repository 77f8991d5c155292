"""`python -m shoal.llm.profile.breakdown`: where the time of a prefill goes, read from torch's profiler."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal import codec
from shoal.llm.library import transformers_module
from shoal.llm.profile.passes import prefill, prompt
from shoal.llm.profile.shares import CLASSES, Job, Shares
from shoal.llm.profile.subject import Subject
from shoal.llm.profile.timing import Point
from shoal.llm.ssm import scopes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WHOLE = "shoal_pass"
MODULES = {"Linear": "gemm", "Norm": "norm", "NormGated": "norm", "SiLU": "activation", "SiLUActivation": "activation",
           "Attention": "attention"}  # by the end of a module's class name  # fmt: skip
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "aten::linear", "aten::matmul")
MOVES = ("aten::copy_", "aten::cat", "aten::clone", "aten::contiguous", "aten::index", "aten::embedding", "aten::to",
         "aten::_to_copy", "aten::fill_", "aten::zero_", "aten::index_select")  # fmt: skip


def main(job_file: str) -> None:
    """Do the job and print the shares."""
    job = codec.load(Job, Path(job_file))
    transformers_module("torch").set_num_threads(job.threads)
    found = tuple(each for subject in job.subjects for each in _of(subject, job.points))
    sys.stdout.buffer.write(codec.encode(found))


def _of(subject: Subject, points: tuple[Point, ...]) -> Iterator[Shares]:
    with subject.opened() as model, scopes(model), _marked(model):
        for point in points:
            prefill(model, prompt(model, point.batch, point.context), subject.passes)
            yield _profiled(subject, model, point)


def _profiled(subject: Subject, model: PreTrainedModel, point: Point) -> Shares:
    """One prefill under the profiler, and by the clock."""
    profiler, symbols = transformers_module("torch.profiler"), prompt(model, point.batch, point.context)
    with profiler.profile(activities=[profiler.ProfilerActivity.CPU]) as told:
        begun_s = time.perf_counter()
        with profiler.record_function(WHOLE):
            prefill(model, symbols, subject.passes)
        clocked_s = time.perf_counter() - begun_s
    return Shares(subject.name, point, _summed(told.events()), clocked_s)


def _summed(events: Any) -> dict[str, float]:
    """Events of the thread that ran the model, by class."""
    found = dict.fromkeys(CLASSES, 0.0)
    for event in events:
        if _within(event):
            found[_class(event)] += event.self_cpu_time_total * 1e-6
    return found


def _within(event: Any) -> bool:
    while event is not None and event.name != WHOLE:
        event = event.cpu_parent
    return event is not None


def _class(event: Any) -> str:
    around = event
    while around is not None:
        if around.name in CLASSES:
            return str(around.name)
        around = around.cpu_parent
    return "gemm" if event.name in PRODUCTS else "memory" if event.name in MOVES else "other"


@contextmanager
def _marked(model: PreTrainedModel) -> Iterator[None]:
    """Modules that show in the profiler under the name of their class of operation."""
    with ExitStack() as stack:
        for module in model.modules():
            name = next((each for end, each in MODULES.items() if type(module).__name__.endswith(end)), None)
            if name is not None:
                for hook in _hooks(module, name):
                    stack.callback(hook.remove)
        yield


def _hooks(module: Any, name: str) -> tuple[Any, Any]:
    record, running = transformers_module("torch.profiler").record_function, []

    def begin(*_: Any) -> None:
        running.append(record(name))
        running[-1].__enter__()

    def end(*_: Any) -> None:
        running.pop().__exit__(None, None, None)

    return module.register_forward_pre_hook(begin), module.register_forward_hook(end, always_call=True)


if __name__ == "__main__":
    main(sys.argv[1])
