"""What has to hold of bits that nest in a file: the same codes by every way, no byte too many, faults refused."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from shoal import catalog
from shoal.compress.nested import LEAST, MOST
from shoal.errors import InputError, LimitError, ModelError, ShoalError
from shoal.llm.offload.bit_router import BitRouter, Even
from shoal.llm.offload.nested import Loading, in_bits
from shoal.llm.offload.nested_records import Copies, Planes, write_planes
from shoal.store import POLICIES, FileTier, Key, TensorStore
from shoal.study._d2moe_lab import NAMES, Lab


@dataclass(frozen=True)
class Proof:
    """Over experts of a model."""

    nested: bool
    bytes: bool
    cases: int
    told: str


def proven(made: Lab, most: int) -> Proof:
    """So many experts are read in each width, once in one go from an empty store, once by upgrades through all widths."""
    layout, nested, exact, cases, read_bytes = Planes(), True, True, 0, 0
    for key, matrices in islice(made.experts.items(), most):
        with _store(made) as growing:
            for bits in range(LEAST, MOST + 1):
                with _store(made) as empty:
                    for store in (growing, empty):
                        with store.hold(layout.keys(*key[:2], bits)) as held:
                            for name in NAMES:
                                whole = matrices[name]
                                found = layout.matrix(held, bits, name, (len(whole.codes), whole.codes.shape[1]))
                                nested &= np.array_equal(found.codes, whole.codes >> (MOST - bits))
                                nested &= np.array_equal(found.matrix(), whole.top(bits).matrix())
                        sizes = dict(store.told().sizes)
                        wanted = sum(sizes[each] for each in layout.keys(*key[:2], bits))
                        exact &= store.told().read_bytes == wanted
                        cases += 1
            read_bytes += growing.told().read_bytes
    return Proof(
        nested,
        exact,
        cases,
        f"{cases // 14} experts in eight bits: {read_bytes} bytes, whole pages, scales among them",
    )


def refusals(made: Lab) -> list[str]:
    """What each of five faults is told as."""
    path, whole = made.planes(), made.planes().read_bytes()
    tier = FileTier(path)
    tier.close()
    first = tier.records[Key(0, 0, 0)]
    missing, cut = path.with_name("missing"), path.with_name("cut")
    few = {key: each for key, each in made.experts.items() if key != Key(0, 0)}
    write_planes(few, missing)
    cut.write_bytes(whole[:-1])
    found = []
    for file, router, budget_bytes, kind in (
        (missing, Even(4), 1 << 20, ModelError),
        (cut, Even(4), 1 << 20, ModelError),
        (made.copies(), Even(5), 1 << 20, InputError),
        (path, Even(9), 1 << 20, InputError),
        (path, Even(2), first.bytes, LimitError),
    ):
        found += _refused(made, file, router, budget_bytes, kind)
    return found


def _refused(made: Lab, file: Path, router: BitRouter, budget_bytes: int, kind: type[ShoalError]) -> list[str]:
    layout = Copies() if file == made.copies() else Planes()
    try:
        in_bits(made.model, file, router, Loading(budget_bytes), layout).undo()
    except kind as fault:
        return [fault.message]
    return []


def _store(made: Lab) -> TensorStore:
    return TensorStore(FileTier(made.planes()), 1 << 20, catalog.make(POLICIES, "coldest_plane"))
