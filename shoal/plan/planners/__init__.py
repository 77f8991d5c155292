"""Ways to search for plans, one file each."""
