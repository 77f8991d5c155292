"""`python -m shoal.llm.tiny KIND FILE`: train a small model that comes with shoal, and write its weights."""

from __future__ import annotations

import sys
from pathlib import Path

from shoal.llm.tiny._learn import make

if __name__ == "__main__":
    sys.stdout.write(make(sys.argv[1], Path(sys.argv[2])) + "\n")
