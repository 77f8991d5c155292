"""State-space layers: the chunked scan of Mamba-2, and its way into transformers' modules."""

from shoal.llm.ssm.plug import CHUNK, chunked, scopes

__all__ = ["CHUNK", "chunked", "scopes"]
