"""Measurements with their commands; figures are kept in RESULTS.md."""
