"""Ways to learn how many joules something took."""
