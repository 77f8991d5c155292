"""shoal: one trained network, many small and unlike machines. Plan, run, simulate, report."""

__version__ = "0.1.0"
