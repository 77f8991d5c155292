"""Experts in formats of few bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from shoal import formats
from shoal.llm.experts._blocks import MATRICES
from shoal.llm.library import transformers_module

if TYPE_CHECKING:
    from torch import Tensor

    from shoal.llm.experts._blocks import Block
    from shoal.llm.experts._handle import Handle


def set_coded(handle: Handle, block: Block, names: Sequence[str]) -> None:
    """Round each expert's matrices to the format of that name, and count what they then take."""
    (gate_up, first), (down, second) = (_coded(getattr(block.experts, name).detach(), names) for name in MATRICES)
    block.set(handle, gate_up, down, first + second)


def _coded(matrices: Tensor, names: Sequence[str]) -> tuple[Tensor, int]:
    torch = transformers_module("torch")
    forms = [formats.make(name) for name in names]
    parts = [
        formats.restored(form, formats.quantise(form, np.ascontiguousarray(each)))
        for form, each in zip(forms, matrices.numpy(), strict=True)
    ]
    shape: tuple[int, int] = (matrices.shape[1], matrices.shape[2])
    return torch.from_numpy(np.stack(parts)), sum(form.stored_bits(shape) for form in forms)
