"""A language model's configuration in words and figures."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from shoal.llm import Architecture, architecture
from shoal.llm.training_cost import training_cost
from shoal.units import format_bytes

LENGTHS = (1_024, 8_192, 65_536, 1_048_576)  # tokens; shown up to what the model takes
VALUE_BYTES = 2  # bfloat16
TRAINED = 4_096  # tokens of a sequence that is learned from


def is_configuration(path: Path) -> bool:
    """Whether a model is named by its configuration rather than its file."""
    return path.suffix == ".json" or os.path.isdir(path)  # no fault, as is_dir has, where a name is too long


def facts(path: Path) -> dict[str, object]:
    """What follows from it, for JSON."""
    found = architecture(path)
    return {
        "kind": found.kind,
        "parameters": found.parameters,
        "active_parameters": found.active_parameters,
        "layers": len(found.layers),
        "context": found.context,
        "weights_bytes": VALUE_BYTES * found.parameters,
        "training_flops": training_cost(found, TRAINED).flops,
        "lengths": [
            {"tokens": tokens, "cache_bytes": found.cache_bytes(tokens, VALUE_BYTES), "macs": found.macs(tokens)}
            for tokens in _lengths(found)
        ],
    }


def show(path: Path) -> None:
    """What follows from it, for people."""
    found, out = architecture(path), Console(highlight=False)
    out.print(f"{found.kind}", style="bold", markup=False)
    for fact in _told(found):
        out.print(Padding(Text(fact), (0, 0, 0, 2)))
    out.print()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("tokens seen", "cache", "MACs a token"):
        table.add_column(name, justify="right", no_wrap=True)
    for tokens in _lengths(found):
        cache = format_bytes(round(found.cache_bytes(tokens, VALUE_BYTES)))
        table.add_row(f"{tokens:,}", cache, f"{found.macs(tokens) / 1e9:.4g} G")
    out.print(table)


def _told(found: Architecture) -> list[str]:
    kinds = Counter(
        " and ".join(type(part).__name__.lower() for part in (layer.mixer, layer.product) if part is not None)
        for layer in found.layers
    )
    met = found.active_parameters
    trained = training_cost(found, TRAINED).flops
    some = f", of which a token meets {met / 1e9:.4g} G" if met != found.parameters else ""
    return [
        f"{found.parameters:,} parameters{some}, {format_bytes(VALUE_BYTES * found.parameters)} in bfloat16",
        f"{len(found.layers)} layers of {found.width} channels: {', '.join(f'{n} {kind}' for kind, n in kinds.items())}",
        f"{found.vocabulary:,} symbols{', one matrix for both ends' if found.tied else ''}; up to {found.context:,} tokens",
        f"training takes {trained / 1e9:.4g} GFLOP a token, in sequences of {TRAINED:,}",
    ]


def _lengths(found: Architecture) -> list[int]:
    return sorted({tokens for tokens in (1, *LENGTHS, found.context) if tokens <= found.context})
