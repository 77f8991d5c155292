"""Ways of rounding activations: one in one file, found by folder."""
