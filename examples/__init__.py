"""Examples: each runs as `python -m examples.NAME`."""
