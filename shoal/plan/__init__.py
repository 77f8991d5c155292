"""Decide which unit runs what: strategies cut, planners search, lowering makes the Program."""
