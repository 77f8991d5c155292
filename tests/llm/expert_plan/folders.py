"""A small model with experts as a folder, a text to place them by, two devices, a plan."""

from __future__ import annotations

from pathlib import Path

from shoal import codec, fleet
from shoal.llm.expert_plan import Question
from shoal.llm.tiny import save_folder, tiny
from shoal.plan.experts import ExpertPlan
from shoal.study._llep_served import DEVICES as QUICK
from shoal.train.language import corpus


def small(folder: Path, kind: str = "mixtral") -> Path:
    return save_folder(tiny(kind), folder / "small")


def text(folder: Path, start: int = 0, size: int = 4096) -> Path:
    """Of a text that the model was not trained on."""
    file = folder / f"text{start}.txt"
    file.write_bytes(corpus()[1].tobytes()[start : start + size])
    return file


def plan(folder: Path, technique: str = "contiguous", described: str = QUICK) -> ExpertPlan:
    """Kept as experts.json below `folder`/placed too."""
    found = Question(small(folder), fleet.loads(described), technique, (text(folder),)).answered().plan
    codec.save(found, folder / "placed" / "experts.json")
    return found
