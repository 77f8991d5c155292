"""Decoders written as ONNX: their layers, caches that stay where they are, a head that can be cut over the vocabulary."""

from shoal.llm.decoder.products import Product, coded
from shoal.llm.decoder.rotary import Rotary, rotary
from shoal.llm.decoder.values import Decoder
from shoal.llm.decoder.writer import Form, caches, save_decoder

__all__ = ["Decoder", "Form", "Product", "Rotary", "caches", "coded", "rotary", "save_decoder"]
