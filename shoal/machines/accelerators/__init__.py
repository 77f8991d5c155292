"""Accelerators that are not here: ops in, values, cycles, energy by component and events out."""

from shoal.machines.accelerators._calls import calls, decodes, evaluated
from shoal.machines.accelerators._price import FAMILY, Taken, accelerator, description, price
from shoal.machines.accelerators._products import Product, product
from shoal.machines.accelerators._standing import standing_in
from shoal.machines.accelerators._views import VIEWS
from shoal.machines.accelerators.contract import Accelerator, Array, Arrays, Call, Operand, Ran, Span

__all__ = [
    "FAMILY",
    "VIEWS",
    "Accelerator",
    "Array",
    "Arrays",
    "Call",
    "Operand",
    "Product",
    "Ran",
    "Span",
    "Taken",
    "accelerator",
    "calls",
    "decodes",
    "description",
    "evaluated",
    "price",
    "product",
    "standing_in",
]
