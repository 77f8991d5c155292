"""Ops that change no value: another shape for the same bytes. Every machine does them by addressing, at no cost."""

VIEWS = frozenset(("Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"))
