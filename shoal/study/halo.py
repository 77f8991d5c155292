"""Weights whose products are quick and cheap, and a clock for each tile, after HALO."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

import numpy as np

from shoal.study import (
    AtLeast,
    AtMost,
    Bench,
    Claim,
    Finding,
    Holds,
    Note,
    Shown,
    Source,
    Table,
    Within,
    words,
)
from shoal.study._halo_plans import bits_of, exact
from shoal.study._halo_tables import books, clock_of, multipliers

if TYPE_CHECKING:
    from shoal.compress.halo import Prospect
    from shoal.machines.arrays import Passed
    from shoal.machines.multipliers import Clocks, MacTable
    from shoal.study._halo_plans import Coded, Ground, Plain, Planned

MOST = 1.03  # of the float network's perplexity
ABOVE = 1.015  # clock over the speed-up that is planned for, beyond which voltages are lowered
REGISTERS_PJ = 0.36  # 40 bits of 0.009 pJ, as Aladdin's tables have them (recalled)
FIXED = "booth_ks:fixed=true"  # without bypasses
STEP = 0.01  # of energy that is given more where a plan is not found
TARGETS = (3.0, 2.8, 2.6, 2.3, 2.0, 1.8, 1.6, 1.5, 1.4, 1.3, 1.2, 1.1)  # speed-ups tried, the largest first


@dataclass(frozen=True)
class Halo:
    """Multipliers are simulated gate by gate, a table for each; a small network's tiles get clocks by it.

    The network foresees letters of the docstrings of Python's library (two hidden layers, trained here in numpy). Its
    tiles are put on levels by an integer programme over sensitivity times error, coded with error feedback, and timed on
    a systolic array with a roofline: a prefill that computes, a decode that waits for memory. All else as in W8A8 at
    base clock.
    """

    multiplier: str = "booth_ks_sm"  # that the claims about the network are checked with, for W8A8 on booth_ks
    others: str = "booth_ks+booth_ripple+array+booth_ks:fixed=true"  # whose gains are compared
    ranks: str = "9+16+32+64+128"  # bounds of the levels: the delay of the weight of each rank
    spare: str = "13+16+24"  # within the lowest, more levels: so many weights of least energy
    letters: int = 1_500_000  # of text
    steps: int = 1500  # of training
    width: int = 1024  # of the first hidden layer; the second has half of it
    side: int = 128  # of the array
    tokens: int = 8192  # of a prefill
    speedup: float = 1.5  # over W8A8 that is planned for
    energy: float = 0.64  # of W8A8's that is planned for
    seed: int = 0  # of weights, batches and samples

    title = "HALO: weights by the delay of their products, and a clock for each tile"
    source = Source(
        "authors of arXiv 2502.19662",
        "HALO: Hardware-Aware Quantization with Low Critical-Path-Delay Weights for LLM Acceleration",
        2025,
        arxiv="2502.19662",
    )
    quick = "multiplier=booth_ks,others=array,letters=60000,steps=20,width=64,side=32,tokens=4096,speedup=1.1,energy=0.95"
    claims = (
        Claim("products", "each of 65,536 products of every multiplier is right", None, "", Holds()),
        Claim("bound", "no simulated delay is above its static bound", None, "", Holds()),
        Claim("slowest", "booth_ks: the slowest weight, gate delays", None, "", Within(relative=0.05, target=22.1)),
        Claim("nine", "the nine quickest are 0, 1, 4, 5, 16, 17, 20, 64, 65", None, "", Holds()),
        Claim("delay_9", "the nine quickest weights' delay", None, "", Within(relative=0.05, target=10.7)),
        Claim("delay_32", "… of 32 weights", None, "", Within(relative=0.05, target=12.1)),
        Claim("delay_64", "… of 64 weights", None, "", Within(relative=0.05, target=15.3)),
        Claim("clock_9", "clock over base with the nine (3.7 over 1.9 GHz)", 1.95, "×", Within(0.05, target=1.73)),
        Claim("clock_32", "clock over base with 32 weights", None, "×", Within(0.05, target=1.58)),
        Claim("clock_64", "clock over base with 64 weights", None, "×", Within(0.05, target=1.33)),
        Claim("energy_16", "energy of the 16 quickest over the mean", None, "×", Within(0.05, target=0.35)),
        Claim("ripple", "booth_ripple: delay of all over that of the nine quickest", None, "×", Within(0.05, target=3.2)),
        Claim("array", "array: delay of all over that of the nine quickest", None, "×", Within(0.05, target=1.455)),
        Claim("books", "squared errors of codebooks on normal weights, worst off", None, "%", AtMost(5.0)),
        Claim("loss", "perplexity above the float network's", "minimal", "%", AtMost(3.0)),
        Claim("prefill", "prefill at that loss, over W8A8 at base clock", 2.7, "×", AtLeast(1.5)),
        Claim("energy", "energy of that prefill below W8A8's", 51.0, "%", AtLeast(35.0)),
        Claim("decode", "gain of the clocks alone in a decode over that in a prefill", "smaller", "×", AtMost(0.9)),
        Claim("published", "the largest gain of any multiplier with at most 3 % loss", 2.7, "×", AtLeast()),
        Claim("legal", "no stored tile holds a weight slower than its clock", None, "", Holds()),
        Claim("swapped", "another multiplier gives another codebook and another gain", None, "", Holds()),
        Claim("exact", "tiles and sparse weights, unpacked, make the coded layers", None, "", Holds()),
        Claim("switches", "changes of the clock in a layer", "few", "", AtMost(3.0)),
        Claim("refused", "no activations, no levels, too little time are refused; large tiles are cut", None, "", Holds()),
    )  # fmt: skip

    def run(self, bench: Bench) -> Iterator[Shown]:
        """The multipliers, then the network."""
        from shoal.machines.multipliers import mac_table

        names = dict.fromkeys(("booth_ks", "booth_ripple", "array", self.multiplier, *words(self.others)))
        tables = {name: mac_table(name) for name in bench.each(tuple(names), "multiplier")}
        yield from multipliers(tables)
        yield from books(tables["booth_ks"], self.seed)
        ground = self._ground(bench)
        yield from self._network(bench, ground, tables)
        yield self._refused(ground, tables)

    def _ground(self, bench: Bench) -> Ground:
        from shoal.machines.arrays import Systolic
        from shoal.study._halo_lm import text, train
        from shoal.study._halo_plans import Ground

        letters = text(self.letters)
        rest = len(letters) * 9 // 10
        sizes = (self.width // 32, self.width, self.width // 2)
        network = train(letters[:rest], sizes, 16, self.steps, self.seed, bench.say)
        array = Systolic(self.side, self.side, side_lanes=2 * self.side)
        return Ground(network, letters[:rest], letters[rest:], array, self.tokens, self.seed)

    def _network(self, bench: Bench, ground: Ground, tables: dict[str, MacTable]) -> Iterator[Shown]:
        clocks = self._clocks(self.multiplier, tables, most=ABOVE * self.speedup)
        bench.say("W8A8 and W4A8")
        usual = self._clocks(_usual(self.multiplier), tables)
        plain, narrow = (ground.coded(name, usual) for name in ("int8", "int4"))
        base = ground.prefill(plain)
        base_s = base.seconds
        bench.say("HALO")
        prospects = ground.prospects(clocks)
        own = self._sparing(ground, clocks, prospects, base)
        yield from self._judged(ground, clocks, plain, narrow, own)
        yield from self._split(ground, plain, own)
        found: dict[str, tuple[Clocks, Planned | None]] = {}
        for name in bench.each(tuple(dict.fromkeys((self.multiplier, *words(self.others)))), "multiplier"):
            other = self._clocks(name, tables)
            most = MOST * ground.float_perplexity
            found[name] = other, ground.fastest(other, base_s, TARGETS, most, bench.say)
        yield from self._gains(found, plain, ground, tables)

    def _sparing(self, ground: Ground, clocks: Clocks, prospects: list[Prospect], base: Passed) -> Planned:
        """The plan with the wanted speed-up and the wanted energy, or as little as there is at that speed."""
        from shoal.errors import LimitError

        share = self.energy
        while True:
            try:
                return ground.planned(clocks, prospects, base.seconds / self.speedup, base.joules * share)
            except LimitError:
                share += STEP
                if share > 1 + STEP:
                    raise

    def _judged(self, ground: Ground, clocks: Clocks, plain: Coded, narrow: Coded, own: Planned) -> Iterator[Shown]:
        from shoal.compress.halo_check import too_slow
        from shoal.compress.halo_tiles import pack

        base, first = ground.prefill(plain), ground.prefill(own)
        yield Finding("loss", 100 * (own.perplexity / ground.float_perplexity - 1), "measured", 1)
        yield Finding("prefill", base.seconds / first.seconds, "simulated", self.tokens)
        yield Finding("energy", 100 * (1 - first.joules / base.joules), "simulated", self.tokens)
        wrong = [
            each
            for layer in own.layers
            for each in too_slow(pack(layer), layer.shape, layer.side, layer.books, clocks)
        ]
        yield Finding("legal", not wrong, "computed", sum(len(layer.tiles) for layer in own.layers))
        yield Finding("exact", all(exact(layer) for layer in own.layers), "computed", len(own.layers))
        yield Finding("switches", max(len(set(layer.levels.reshape(-1).tolist())) for layer in own.layers), "computed",
                      first.switches, why=f"in all {first.switches} in {len(own.layers)} layers")  # fmt: skip
        heads = (
            "coded",
            "perplexity",
            "bits",
            "prefill, ms",
            "of it mJ",
            "decode, ms",
            "of it mJ",
            "memory decides",
        )
        yield Table("The network on the array", heads, [
            (each.name, each.perplexity, bits_of(each), *(
                figure for way in (ground.prefill, ground.decode) for figure in (way(each).seconds * 1e3, way(each).joules * 1e3)
            ), f"{ground.prefill(each).memory_bound:.0%} and {ground.decode(each).memory_bound:.0%}")
            for each in (plain, narrow, own)
        ], f"float: perplexity {ground.float_perplexity:.3f}; shares of tiles' time in prefill and decode")  # fmt: skip
        counts = [
            [int((layer.levels == level).sum()) for layer in own.layers] for level in range(len(clocks.levels))
        ]
        yield Table("Levels", ("weights", "delay", "clock, ×", "V", "tiles of each layer"), [
            (len(level.weights), level.delay, level.clock, level.volts, " ".join(map(str, count)))
            for level, count in zip(clocks.levels, counts, strict=True)
        ])  # fmt: skip
        counted = replace(ground.array, register_pj=REGISTERS_PJ)
        saved = 1 - counted.passed(own.tiles, self.tokens).joules / counted.passed(plain.tiles, self.tokens).joules
        parts = {name: (base.energy_j[name] * 1e3, first.energy_j[name] * 1e3) for name in base.energy_j}
        yield Table("Energy of the prefill, mJ", ("component", "W8A8", "HALO"),
                    [(name, *both) for name, both in parts.items()],
                    f"45 nm, 0.9 V; pipeline registers and the clock's tree are not counted; with registers of "
                    f"{REGISTERS_PJ} pJ a product (40 bits, Aladdin) {saved:.0%} are saved")  # fmt: skip

    def _split(self, ground: Ground, plain: Coded, own: Planned) -> Iterator[Shown]:
        """How much of the gain is the clock's, and how much that of fewer bits."""
        from shoal.study._halo_plans import at_base, with_bytes

        ways = {
            "W8A8 at base clock": plain,
            "clocks alone, bytes of W8A8": replace(own, tiles=with_bytes(own.tiles, plain.tiles)),
            "bits alone, base clock": replace(own, tiles=at_base(own.tiles)),
            "both": own,
        }
        took = [[way(each).seconds for way in (ground.prefill, ground.decode)] for each in ways.values()]
        rows: list[tuple[str | float, ...]] = [
            (name, *(first / own_s for first, own_s in zip(took[0], each, strict=True)))
            for name, each in zip(ways, took, strict=True)
        ]
        yield Table("Where the gain comes from, ×", ("", "prefill", "decode"), rows)
        alone = [first / own_s for first, own_s in zip(took[0], took[1], strict=True)]
        whole = took[0][1] / took[-1][1]
        yield Finding("decode", alone[1] / alone[0], "simulated", 1,
                      why=f"a decode waits for memory: it is {whole:.2f} times as fast, for its weights have fewer bits")  # fmt: skip

    def _gains(
        self,
        found: dict[str, tuple[Clocks, Planned | None]],
        plain: Plain,
        ground: Ground,
        tables: dict[str, MacTable],
    ) -> Iterator[Shown]:
        rows: list[tuple[str | float | None, ...]] = []
        gains: dict[str, float] = {}
        for name, (clocks, own) in found.items():
            base = ground.prefill(plain.on(self._clocks(_usual(name), tables), self.side))
            took = ground.prefill(own) if own else base
            gains[name] = base.seconds / took.seconds
            weights = " ".join(str(len(level.weights)) for level in clocks.levels[1:])
            saved = 100 * (1 - took.joules / base.joules) if own else None
            rows.append((name, weights, gains[name], own.perplexity if own else None, saved))
        yield Table("Each multiplier over W8A8 at its own base clock, at most 3 % loss",
                    ("multiplier", "weights of the levels", "gain, ×", "perplexity", "energy saved, %"), rows,
                    "1: no gain; booth_ks_sm over the base clock of booth_ks")  # fmt: skip
        books = {tuple(level.weights for level in clocks.levels[1:]) for clocks, _ in found.values()}
        differ = len(books) == len({round(gain, 6) for gain in gains.values()}) == len(found) > 1
        yield Finding("swapped", differ, "simulated", len(found))
        best = max(gains, key=lambda name: gains[name])
        most = max(level.clock for level in found[best][0].levels)
        why = f"{best}, whose quickest level is clocked {most:.2f} times as fast: a prefill gains by clocks, not by bits"
        yield Finding("published", gains[best], "simulated", len(gains), why=why)
        if FIXED in tables:
            fixed, free = (clock_of(tables[name], 32) for name in (FIXED, "booth_ks"))
            yield Note(f"The gain hangs on rows of zeros being bypassed: with 32 weights booth_ks may be clocked {free:.2f}"
                       f" times as fast, with a tree that adds such rows too {fixed:.2f} times.")  # fmt: skip

    def _clocks(self, name: str, tables: dict[str, MacTable], most: float = inf) -> Clocks:
        """The levels of a multiplier; one of sign and magnitude takes the place of booth_ks."""
        from shoal.machines.multipliers import clocks
        from shoal.study._halo_plans import ranked

        ranks, spare = ([int(each) for each in words(some)] for some in (self.ranks, self.spare))
        return clocks(tables[name], ranked(tables[name], ranks, spare), most=most, base=tables[_usual(name)])

    def _refused(self, ground: Ground, tables: dict[str, MacTable]) -> Finding:
        from shoal.compress import Seen
        from shoal.compress.halo import Cut, Prospect, assign, codebooks, halo, subject
        from shoal.machines.multipliers import Bound, clocks

        layer = ground.subjects[-1]
        dead, ones = Seen(layer.shape[1]), np.ones((2, 2))
        tries: list[Callable[[], object]] = [
            lambda: subject("output", layer.weights, dead),
            lambda: clocks(tables["booth_ks"], ()),
            lambda: clocks(tables["booth_ks"], (Bound(1.0),)),
            lambda: assign([Prospect(ones, ones, ones)], 1.0),
        ]
        large = halo(layer, [0], codebooks(self._clocks("booth_ks", tables)), Cut(4 * max(layer.shape)))
        return Finding("refused", all(map(_refuses, tries)) and exact(large), "computed", len(tries) + 1)


def _usual(name: str) -> str:
    """The multiplier that an array has without HALO."""
    return "booth_ks" if name.startswith("booth_ks_sm") else name


def _refuses(attempt: Callable[[], object]) -> bool:
    from shoal.errors import ShoalError

    try:
        attempt()
    except ShoalError:
        return True
    return False
