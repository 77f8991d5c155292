"""The changelog speaks of the version that is here."""

from __future__ import annotations

import re
from pathlib import Path

import shoal

ROOT = Path(__file__).parents[1]


def test_the_newest_entry_of_the_changelog_is_this_version() -> None:
    found = re.search(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert found is not None
    assert found[1] == shoal.__version__
