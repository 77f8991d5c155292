"""`python -m shoal.llm.attention.recall FILE`: train the model that comes with shoal, and write its weights."""

from __future__ import annotations

import sys
from pathlib import Path

from shoal.llm.attention.recall.model import make

if __name__ == "__main__":
    sys.stdout.write(make(Path(sys.argv[1])) + "\n")
