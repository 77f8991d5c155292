"""Ways to divide one item between units, one file each."""
