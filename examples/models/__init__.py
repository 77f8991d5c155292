"""Real trained networks and real photos, taken from published packages when first asked for."""
