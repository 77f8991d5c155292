"""A folder of a model with experts: what it has by its configuration alone, the module, the tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal import cache, codec
from shoal.errors import InputError, ModelError
from shoal.llm.checkpoint import Text, opened
from shoal.llm.checkpoint.folder import TOKENIZER
from shoal.llm.checkpoint.kept import CONTEXT
from shoal.llm.checkpoint.opened import files
from shoal.llm.config import FILE
from shoal.llm.expert_parallel.plug import activation_of
from shoal.llm.experts import blocks
from shoal.llm.library import transformers_module
from shoal.llm.offload.skeleton import skeleton
from shoal.plan import ModelRef
from shoal.plan.experts import ExpertShape

if TYPE_CHECKING:
    from transformers import PreTrainedModel

VALUE_BYTES = 4  # workers compute in float32
KEPT = {"full_attention", "sliding_attention"}  # kinds of layers that keep keys and values of a text, nothing else


@dataclass(frozen=True)
class Facts:
    """What a configuration says of a model with experts."""

    layers: int  # that have experts
    experts: int  # of a layer
    per_token: int
    width: int
    hidden: int  # of an expert
    activation: str
    context: int  # places of a text that are computed here
    other_bytes: int  # of weights that are no routed experts

    @property
    def shape(self) -> ExpertShape:
        """Of an expert, as workers hold it."""
        return ExpertShape.gated(self.width, self.hidden, VALUE_BYTES)


def facts(folder: Path) -> Facts:
    """Of the model in a folder, whose weights need not be there.

    Raises:
        ModelError: it has no experts, or such as workers do not compute.
        MissingExtra: transformers is not installed.
    """
    model = skeleton(codec.load(dict[str, Any], folder / FILE))
    found, config = blocks(model), model.config
    odd = set(getattr(config, "layer_types", None) or ()) - KEPT
    if odd:
        raise ModelError("layers that keep another state than keys and values", where=str(folder),
                         had=", ".join(sorted(odd)))  # fmt: skip
    experts, rows, width = found[0].experts.gate_up_proj.shape
    if any(each.experts.gate_up_proj.shape != (experts, rows, width) for each in found):
        raise ModelError("layers have experts of several sizes", where=str(folder))
    shape = ExpertShape.gated(width, rows // 2, VALUE_BYTES)
    every = VALUE_BYTES * sum(each.numel() for each in model.parameters())
    return Facts(
        len(found), experts, int(config.num_experts_per_tok), width, rows // 2, activation_of(found),
        min(CONTEXT, config.max_position_embeddings, getattr(config, "sliding_window", None) or CONTEXT),
        every - len(found) * experts * shape.weight_bytes,
    )  # fmt: skip


def folder_of(model: Path) -> Path:
    """The folder that is meant by itself or by its configuration."""
    return model.parent if model.suffix == ".json" else model


def reference(folder: Path) -> ModelRef:
    """The model and a digest of all its files.

    Raises:
        ModelError: there is none.
    """
    content = [(each.name, cache.digest(each)) for each in files(folder)]
    place = folder.resolve()
    return ModelRef(place.name, str(place), hashlib.sha256(codec.encode(content)).hexdigest())


def checked(model: ModelRef) -> Path:
    """The folder, if it holds what it held.

    Raises:
        InputError: its files changed.
        ModelError: it is gone.
    """
    folder = Path(model.path)
    if reference(folder).sha256 != model.sha256:
        raise InputError("another model than the plan is of", where=str(folder), hint="plan it again")
    return folder


def text_of(folder: Path) -> Text:
    """What the model's tokens mean.

    Raises:
        ModelError: it has no weights, or no tokenizer.
    """
    found = opened(folder)
    if not (folder / TOKENIZER).is_file():
        raise ModelError("the model has no tokenizer", where=str(folder), needed=TOKENIZER)
    return Text(folder / TOKENIZER, found.ends, found.begins, found.template)


def trained(folder: Path) -> PreTrainedModel:
    """The module in float32; transformers reads the weights, under the names that files have as well.

    Raises:
        ModelError: weights are missing, damaged or of another model.
    """
    library, torch = transformers_module(), transformers_module("torch")
    from safetensors import SafetensorError

    try:
        with _silent():
            model, told = library.AutoModelForCausalLM.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=torch.float32,
                attn_implementation="eager", output_loading_info=True,
            )  # fmt: skip
    except (OSError, ValueError, RuntimeError, SafetensorError) as fault:
        why = next(iter(str(fault).splitlines()), type(fault).__name__)
        raise ModelError(f"transformers does not read the model: {why}", where=str(folder)) from fault
    odd = sorted({*told["missing_keys"], *told["unexpected_keys"], *(each[0] for each in told["mismatched_keys"])})
    if odd:
        raise ModelError("weights are missing, too many or of another shape", where=str(folder),
                         had=", ".join(odd[:4]))  # fmt: skip
    found: PreTrainedModel = model.eval()
    return found


@contextmanager
def _silent() -> Iterator[None]:
    """Without transformers' bars and warnings: what is wrong is in what it gives back."""
    log = transformers_module("transformers.utils.logging")
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()
