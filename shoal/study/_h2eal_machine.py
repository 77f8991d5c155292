"""The machine's part of H2EAL: recorded page selections replayed on a mesh of tiles bonded to their DRAM.

`machine_findings` answers `MACHINE_CLAIMS`; the study of H2EAL calls it with what its model read.
"""

from __future__ import annotations

from collections.abc import Iterator

from shoal.kv.selections import Selections
from shoal.study._h2eal_machine_asked import Asked
from shoal.study._h2eal_machine_changes import depends, other_readings, shared_heads
from shoal.study._h2eal_machine_checks import identities
from shoal.study._h2eal_machine_gains import energies, gains, steps, tiles
from shoal.study._rules import AtLeast, AtMost, Holds
from shoal.study.contract import Claim, Shown

MACHINE_CLAIMS: tuple[Claim, ...] = (
    Claim("machine_speed_least", "attention of one token against one head on one tile, least of 4K to 256K tokens",
          5.20, "×", AtLeast()),
    Claim("machine_speed_most", "… most of 4K to 256K tokens", 48.21, "×", AtLeast()),
    Claim("machine_speed_spread", "… against interleaved addresses, least", None, "×", AtLeast(1.0)),
    Claim("machine_overlap", "… its range overlaps 5.20 to 48.21", "5.20 to 48.21", "", Holds()),
    Claim("machine_grows", "… and grows with the context", None, "", Holds()),
    Claim("machine_energy_least", "energy of attention against one head on one tile, least", 6.22, "×", AtLeast()),
    Claim("machine_energy_most", "… most", 73.48, "×", AtLeast()),
    Claim("machine_energy_above", "energy gains more than speed at each context", "73.48 over 48.21", "", Holds()),
    Claim("machine_whole", "the whole token with weights in 16 bits, 64K tokens", None, "×", AtLeast(1.0)),
    Claim("machine_steps", "pages, then co-placement, then balance: none makes a token slower", None, "", Holds()),
    Claim("machine_balance", "what balance adds to co-placed pages at 64K tokens", None, "×", AtLeast(1.5)),
    Claim("machine_load", "the busiest tile over the mean once balanced, most of all contexts", None, "×", AtMost(1.25)),
    Claim("machine_bytes", "bytes read are those of the chosen pages and of all bounds", None, "", Holds()),
    Claim("machine_identities", "one tile: no energy of the mesh; more bandwidth: never slower", None, "", Holds()),
    Claim("machine_exact", "attention computed on the tiles is attention in one go, largest difference", None, "",
          AtMost(1e-9)),
    Claim("machine_capacity", "what the tiles cannot hold is refused, what they can is run", None, "", Holds()),
)  # fmt: skip


def machine_findings(selections: Selections, quick: bool) -> Iterator[Shown]:
    """Answer `MACHINE_CLAIMS` from what a model read.

    Args:
        selections: recorded at a few thousand tokens.
        quick: fewer layers and contexts.

    Raises:
        InputError: a record without steps, or one in which every layer reads all pages.
    """
    asked = Asked(selections, quick)
    tokens = asked.tokens()
    yield asked.said()
    yield from gains(asked, tokens)
    yield from steps(asked, tokens)
    yield from tiles(asked)
    yield from energies(tokens)
    yield from other_readings(asked, tokens)
    yield from depends(asked, tokens)
    yield from identities(asked)
    yield from shared_heads(asked)
