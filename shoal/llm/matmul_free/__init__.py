"""Decoders without products of activations: as a module of transformers, and token by token as ONNX."""

from shoal.llm.matmul_free.step import Packed, open_step, packed_step, states

__all__ = ["Packed", "open_step", "packed_step", "states"]
