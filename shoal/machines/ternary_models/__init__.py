"""Whole ternary language models on the engines for them: layer by layer, as the machines count cycles."""

from shoal.machines.ternary_models._blocks import Item, Parts, parts
from shoal.machines.ternary_models._cards import Decoding, decoding, layer_jobs, link_s, placed, prompting
from shoal.machines.ternary_models._decoders import (
    BITNET_700M,
    MATMUL_FREE_370M,
    MATMUL_FREE_2700M,
    Matrix,
    TernaryDecoder,
)
from shoal.machines.ternary_models._phases import Phase, decode, prefill

__all__ = [
    "BITNET_700M",
    "MATMUL_FREE_370M",
    "MATMUL_FREE_2700M",
    "Decoding",
    "Item",
    "Matrix",
    "Parts",
    "Phase",
    "TernaryDecoder",
    "decode",
    "decoding",
    "layer_jobs",
    "link_s",
    "parts",
    "placed",
    "prefill",
    "prompting",
]
