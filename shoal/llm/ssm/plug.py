"""Scans of transformers' Mamba-2 layers exchanged on the module at hand: no code is copied, no class is changed."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from shoal.errors import ModelError
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

CHUNK = 64  # tokens; fastest of 32 to 256 here
SCAN, STEP = "mamba2_chunk_scan", "mamba2_selective_state_update"  # the functions a mixer of transformers calls
CONVOLUTIONS = ("causal_conv1d_fn", "causal_conv1d_update")
SCOPES = {SCAN: "ssm_scan", STEP: "ssm_scan", **dict.fromkeys(CONVOLUTIONS, "ssm_conv")}


@contextmanager
def chunked(model: PreTrainedModel, chunk: int = CHUNK) -> Iterator[PreTrainedModel]:
    """The model with `in_chunks` for its scans until the block ends; its cache is as before.

    Raises:
        ModelError: no layer of it has the scan of Mamba-2.
        InputError: a chunk without tokens.
    """
    mixers = _mixers(model)
    if not mixers:
        raise ModelError("no layer has the scan of Mamba-2", where=model.config.model_type)
    with _calling(mixers, {SCAN: _scan(chunk)}):
        yield model


@contextmanager
def scopes(model: PreTrainedModel) -> Iterator[None]:
    """Scans and convolutions show in torch's profiler as "ssm_scan" and "ssm_conv" until the block ends."""
    with ExitStack() as stack:
        for mixer in _mixers(model):
            known = _function(mixer).__globals__
            marked = {name: _scoped(known[name], scope) for name, scope in SCOPES.items()}
            stack.enter_context(_calling([mixer], marked))
        yield


@contextmanager
def _calling(mixers: list[Any], functions: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Mixers whose forward finds these functions under the names that it calls."""
    before = [mixer.__dict__.get("forward") for mixer in mixers]
    for mixer in mixers:
        stock = _function(mixer)
        known = {**stock.__globals__, **functions}
        other = types.FunctionType(stock.__code__, known, stock.__name__, stock.__defaults__, stock.__closure__)
        mixer.forward = types.MethodType(other, mixer)
    try:
        yield
    finally:
        for mixer, own in zip(mixers, before, strict=True):
            if own is None:
                del mixer.forward
            else:
                mixer.forward = own


def _mixers(model: PreTrainedModel) -> list[Any]:
    return [each for each in model.modules() if {SCAN, STEP} <= set(_named(each))]


def _named(module: Any) -> tuple[str, ...]:
    found = _function(module)
    return found.__code__.co_names if found is not None else ()


def _function(module: Any) -> Any:
    """The plain function behind a module's forward; None where it is not written in Python."""
    found = module.forward
    while hasattr(found, "__wrapped__"):  # without the hooks of accelerate
        found = found.__wrapped__
    found = getattr(found, "__func__", found)
    return found if isinstance(found, types.FunctionType) else None


def _scoped(function: Callable[..., Any], scope: str) -> Callable[..., Any]:
    profiler = transformers_module("torch.profiler")

    def marked(*args: Any, **kwargs: Any) -> Any:
        with profiler.record_function(scope):
            return function(*args, **kwargs)

    return marked


def _scan(chunk: int) -> Callable[..., Any]:
    """`in_chunks` as transformers calls its own."""
    transformers_module("torch")
    from shoal.llm.ssm.scan import Inputs, in_chunks

    def scan(hidden_states: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, **rest: Any) -> Any:  # its names
        steps, skip = _steps(dt, **rest).float(), rest["D"].float()
        inputs = Inputs(
            hidden_states.float(), steps, A.float(), B.float(), C.float(), skip, rest.get("initial_states")
        )
        found = in_chunks(inputs, chunk)
        return (found.outputs, found.state) if rest.get("return_final_states") else found.outputs

    return scan


def _steps(dt: Tensor, dt_bias: Tensor, dt_limit: tuple[float, float], **_: Any) -> Tensor:
    """Δ, as the configuration bounds it."""
    functional = transformers_module("torch.nn.functional")
    found: Tensor = functional.softplus(dt + dt_bias).clamp(*dt_limit)
    return found
