"""What a language model launches: its kernels from the configuration alone, and its calls as they are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from shoal.errors import InputError, ModelError
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from shoal.measure.queue import Calls, Work
    from shoal.measure.trace import Trace


def prefill_work(config: Mapping[str, Any], batch: int, tokens: int, kind: str = "bfloat16") -> tuple[Work, ...]:
    """The kernels of a prefill, in order, on a device that launches each call of PyTorch by itself.

    The module of transformers is run on shapes only (torch's device "meta"), so that no size is too large; its attention
    is transformers' own "eager", of products and a softmax.

    Args:
        config: the entries of a configuration, `model_type` among them.
        batch: sequences.
        tokens: of each.
        kind: the number format of weights and values.

    Raises:
        MissingExtra: transformers is not installed.
        ModelError: the kind of model is unknown.
        InputError: a size below 1.
    """
    torch = transformers_module("torch")
    transformers_module()
    from shoal.measure.queue.recorded import counted

    _check(batch, tokens)
    with torch.device("meta"):
        model = _unfilled(config, getattr(torch, kind))
        symbols = torch.zeros((batch, tokens), dtype=torch.int64)
        return counted(lambda: model(input_ids=symbols, use_cache=True, logits_to_keep=1))


def prefill(model: PreTrainedModel, batch: int, tokens: int) -> Callable[[], Tensor]:
    """A call that answers `batch` sequences of `tokens`, all alike; it gives what the model says of the last ones.

    Raises:
        InputError: a size below 1.
    """
    torch = transformers_module("torch")
    _check(batch, tokens)
    symbols = (torch.arange(tokens) % model.config.vocab_size).expand(batch, tokens)

    def call() -> Tensor:
        found: Tensor = model(input_ids=symbols)[0][:, -1]
        return found

    return call


def decode(model: PreTrainedModel, tokens: int, steps: int) -> Callable[[], Tensor]:
    """A call that goes on after `tokens`, greedily, one token a step, each read by the host; the last logits.

    What came before is computed here, once for each call: it can be called several times.

    Raises:
        InputError: a size below 1.
    """
    import copy

    torch = transformers_module("torch")
    _check(tokens, steps)
    with torch.no_grad():
        begun = model(input_ids=(torch.arange(tokens) % model.config.vocab_size)[None], use_cache=True)
    first = begun.logits[:, -1:].argmax(-1)
    spare = [copy.deepcopy(begun.past_key_values)]  # a copy is not part of what is traced

    def call() -> Tensor:
        if not spare:
            raise InputError("this call was made already", hint="make another with `decode`")
        cache, symbol = spare.pop(), first
        for _ in range(steps):
            logits: Tensor = model(input_ids=symbol, past_key_values=cache, use_cache=True).logits[:, -1]
            symbol = logits.argmax(-1, keepdim=True)
            symbol.sum().item()
        return logits

    return call


def encoder(config: Mapping[str, Any], seed: int = 0) -> PreTrainedModel:
    """A model of transformers that reads and does not write, with weights of `seed`, in float32.

    Raises:
        MissingExtra: transformers is not installed.
        ModelError: the kind is unknown.
    """
    from shoal.train.fit import seeded

    transformers_module("torch")
    with seeded(seed):
        made: PreTrainedModel = _unfilled(config, None, "AutoModel")
    return made


def traced(call: Callable[[], object]) -> Trace:
    """The operators of a call as torch.profiler saw them, and on CUDA its launches and kernels.

    Raises:
        MissingExtra: torch is not installed.
    """
    transformers_module("torch")
    from shoal.measure.trace.profiled import profiled

    return profiled(call)


def calls_of(call: Callable[[], Tensor]) -> Calls:
    """The calls of PyTorch that a call makes, to be made again elsewhere.

    Raises:
        MissingExtra: torch is not installed.
    """
    transformers_module("torch")
    from shoal.measure.queue.recorded import recorded

    return recorded(call)


def _unfilled(config: Mapping[str, Any], dtype: Any, door: str = "AutoModelForCausalLM") -> Any:
    library = transformers_module()
    entries = dict(config)
    kind = entries.pop("model_type", None)
    try:
        read = library.AutoConfig.for_model(kind, **entries)
    except ValueError as fault:
        raise ModelError(f"transformers knows no model of the kind '{kind}'", where="model_type") from fault
    return getattr(library, door).from_config(read, dtype=dtype, attn_implementation="eager").eval()


def _check(*sizes: int) -> None:
    if min(sizes) < 1:
        raise InputError("no such size", needed="at least 1", had=", ".join(map(str, sizes)))
