"""`python -m shoal.train.language FILE`: train the decoder that comes with shoal, and write its weights."""

from __future__ import annotations

import sys
from pathlib import Path

from shoal.train.language._tiny import make

if __name__ == "__main__":
    sys.stdout.write(make(Path(sys.argv[1])) + "\n")
