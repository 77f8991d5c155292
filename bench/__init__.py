"""Measurements with their commands; figures are kept in RESULTS.md."""

LACKING = (
    77  # exit code of one that compares with what is not installed: `make bench` goes on, and names it at its end
)
