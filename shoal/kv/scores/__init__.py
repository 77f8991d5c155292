"""Scores of tokens: one in one file, found by folder."""
