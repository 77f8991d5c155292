"""Multi-head latent attention two ways: keys and values expanded for every token, or their matrices absorbed.

Expanded, keys and values of all heads are made of each token's short vector. Absorbed, a head's query is brought into the
short vector's space instead, so that all heads read one and the same "key", and the mixed short vectors become values
afterwards. [DeepSeek-AI, "DeepSeek-V2", 2024, section 2.1.2]
"""

from __future__ import annotations

from shoal.llm.parts import Latent


def expanded_macs(latent: Latent, queries: int, seen: int) -> int:
    """Multiply-accumulates of `queries` tokens in one layer, of which `seen` short vectors are expanded anew.

    Without the products before and after, which are the same both ways.
    """
    made = seen * latent.rank * latent.heads * (latent.plain + latent.value)
    return made + queries * seen * latent.heads * (latent.plain + latent.rotary + latent.value)


def absorbed_macs(latent: Latent, queries: int, seen: int) -> int:
    """The same work without expanding: `rank + rotary` products a score, `rank` for what is mixed."""
    moved = queries * latent.heads * latent.rank * (latent.plain + latent.value)
    return moved + queries * seen * latent.heads * (2 * latent.rank + latent.rotary)


def absorbs(latent: Latent, queries: int, seen: int) -> bool:
    """Whether absorbing takes fewer multiplications: yes for one token at a time, no for a long prompt at once."""
    return absorbed_macs(latent, queries, seen) < expanded_macs(latent, queries, seen)
