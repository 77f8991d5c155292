"""Policies of a cache of keys and values: one in one file, found by folder."""
