"""Numbers in few bits: codes ↔ bytes, exactly. Names: `formats.make("int4g128")`; see `contract` for what a format does."""

from shoal.formats._names import EXAMPLES, listed, make, names
from shoal.formats.contract import Coded, Codes, Format, Matrix, Params, Streams, quantise, restored

__all__ = [
    "EXAMPLES",
    "Coded",
    "Codes",
    "Format",
    "Matrix",
    "Params",
    "Streams",
    "listed",
    "make",
    "names",
    "quantise",
    "restored",
]
