"""What the machine's gains depend on: other readings of the record, other figures, a model whose queries share heads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from shoal.errors import LimitError
from shoal.machines.hybrid_bonded import HybridBonded, Ran, together
from shoal.study._h2eal_machine_asked import LEAST_TOKENS, LONG, Asked, short
from shoal.study._h2eal_machine_scaled import Scaled
from shoal.study._h2eal_machine_sweep import BALANCED, LLAMA_8B, OWN, SPREAD, Replay, Token, times
from shoal.study.contract import Finding, Shown, Table

PUBLISHED_SHARE = 0.25  # of heads that choose pages, where each query has keys of its own
CHANGED = ("dram_bytes_per_s", "link_bytes_per_s", "tile_w", "mac_lanes", "hop_s")
REUSED = (2, 4, 8)  # steps for which chosen pages stay
TWO = (OWN, BALANCED)
Row = tuple[str | float, ...]


def other_readings(asked: Asked, tokens: Mapping[int, Token]) -> Iterator[Shown]:
    """The same if another thing is taken from the record."""
    replay, rows = asked.replay(), []
    for context, usual in tokens.items():
        scaled = asked.scaled(context)
        share = replay.token(replace(scaled, keeping="share"), TWO)
        published = replay.token(replace(scaled, choosing=PUBLISHED_SHARE), TWO)
        rows.append(
            (context, *(get(BALANCED) for each in (usual, share, published) for get in (each.speed, each.energy)))
        )
    heads = (
        "context",
        "as replayed, ×",
        "energy, ×",
        "as large a share, ×",
        "energy, ×",
        "25 % choose, ×",
        "energy, ×",
    )
    yield Table("Other readings of the record, attention", heads, rows,
                "against one head on one tile. As large a share: of the context, as was recorded. 25 %: recorded heads are "
                "drawn so that one of four chooses pages, as is published for 32 heads of keys")  # fmt: skip


def depends(asked: Asked, tokens: Mapping[int, Token]) -> Iterator[Shown]:
    """What speed and energy depend on."""
    machine, scaled, usual = HybridBonded(), asked.scaled(LONG), tokens[LONG]
    changes = [(f"{name} ×{factor}", {name: type(getattr(machine, name))(getattr(machine, name) * factor)})
               for name in CHANGED for factor in (0.5, 2)]  # fmt: skip
    rows = [_row("as described", usual)]
    for name, change in (*changes[: 2 if asked.quick else None], ("one buffer", {"overlapped": False})):
        rows.append(_row(name, asked.replay(replace(machine, **change)).token(scaled, TWO)))
    for least in (LEAST_TOKENS // 2, 2 * LEAST_TOKENS):
        rows.append(_row(f"at least {least} tokens", asked.replay().token(replace(scaled, least=least), TWO)))
    rows.append(_row("two layers read all", _two_full(asked.replay(), scaled, usual)))
    rows += [
        _row(f"chosen anew every {steps} steps", _reused(asked.replay(), scaled, usual, steps)) for steps in REUSED
    ]
    rows += [(f"energy of {name} ×2", usual.speed(BALANCED), _doubled(usual, name), rows[0][3])
             for name, joules in usual.attention[BALANCED].energy_j.items() if joules]  # fmt: skip
    yield Table(f"Parameters, attention at {short(LONG)} tokens", ("", "speed, ×", "energy, ×", "time, ms"), rows,
                "against one head on one tile with the same change; what choosing less often loses is not asked here")  # fmt: skip


def shared_heads(asked: Asked) -> Iterator[Shown]:
    """A model whose queries share heads of keys, on tiles that hold it."""
    large = HybridBonded(columns=8, rows=8)
    replay = asked.replay(large, LLAMA_8B)
    rows: list[tuple[Any, ...]] = []
    right = [not _holds(asked.replay(), OWN, asked.scaled(LONG))]
    for context in asked.contexts:
        scaled = asked.scaled(context, replay.decoder.kv_heads)
        token = replay.token(scaled, (OWN, SPREAD, BALANCED))
        holds = [_holds(replay, way, scaled) for way in (SPREAD, BALANCED)]
        right.append(holds[0] == (replay.decoder.weights_bytes + _kept(replay, context) <= 64 * large.tile_bytes))
        rows.append((context, *("yes" if held else "no" for held in holds), token.speed(BALANCED), token.energy(BALANCED),
                     token.speed(BALANCED, SPREAD), token.speed(BALANCED, whole=True)))  # fmt: skip
    yield Finding("machine_capacity", all(right) and rows[0][1] == "yes", "computed", len(right),
                  why="a Llama of 8B on 8 × 8 tiles; that of 7B is refused on 4 × 4")  # fmt: skip
    heads = ("context", "held, all tokens", "held, balanced", "attention, ×", "its energy, ×", "over interleaved, ×",
             "whole token, ×")  # fmt: skip
    yield Table("Llama of 8B, 8 heads of keys, on 8 × 8 tiles of 512 MiB", heads, rows,
                "against one head on one tile, where 8 of 64 tiles have a head, if not said otherwise")  # fmt: skip


def _row(name: str, token: Token) -> Row:
    return name, token.speed(BALANCED), token.energy(BALANCED), token.attention[BALANCED].seconds * 1e3


def _two_full(replay: Replay, scaled: Scaled, usual: Token) -> Token:
    """The first two layers read all pages, as is usual where pages are chosen."""
    full = replay.all_read(BALANCED, scaled.full(), 2)
    others = times(usual.attention[BALANCED], 1 - 2 / replay.decoder.layers)
    return Token({OWN: usual.attention[OWN], BALANCED: together([full, others])}, usual.rest)


def _reused(replay: Replay, scaled: Scaled, usual: Token, steps: int) -> Token:
    """A token on average where bounds are read in one of `steps` only, with the same layout."""

    def mean(at: int) -> Ran:
        readings = scaled.layer(at)
        laid = replay.laid(BALANCED, readings, at)
        runs = [replay.machine.attention(replay.decoder.shape, some, laid)
                for some in (readings, [replace(each, scored=False) for each in readings])]  # fmt: skip
        return together([times(runs[0], 1 / steps), times(runs[1], 1 - 1 / steps)])

    own = replay.layers(scaled, BALANCED, mean)
    return Token({OWN: usual.attention[OWN], BALANCED: own}, usual.rest)


def _doubled(token: Token, name: str) -> float:
    """The gain of energy if one event took twice as much."""
    base, own = (
        run.joules + run.energy_j.get(name, 0.0) for run in (token.attention[OWN], token.attention[BALANCED])
    )
    return base / own


def _holds(replay: Replay, way: str, scaled: Scaled) -> bool:
    try:
        replay.machine.check_held(replay.held_bytes(way, scaled))
    except LimitError:
        return False
    return True


def _kept(replay: Replay, tokens: int) -> int:
    """Bytes of all keys and values."""
    decoder = replay.decoder
    return decoder.layers * decoder.kv_heads * decoder.shape.page_bytes * -(-tokens // decoder.shape.page)
