"""Multipliers as gates: signed 8 × 8 bits, one design a file; how long each takes with a weight that stays."""

from shoal.machines.multipliers._clocks import Bound, Clocks, Level, Margins, Supply, clocks
from shoal.machines.multipliers._table import MacTable, mac_table, products_right, worked_out
from shoal.machines.multipliers.contract import Circuit, Multiplier

__all__ = [
    "Bound",
    "Circuit",
    "Clocks",
    "Level",
    "MacTable",
    "Margins",
    "Multiplier",
    "Supply",
    "clocks",
    "mac_table",
    "products_right",
    "worked_out",
]
