"""Checks of leaves, by branch: each is a function that measures on small models and gives its figures by name."""
