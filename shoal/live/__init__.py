"""A plan kept up as a service: on whoever is there, through losses and returns, at whatever speed they have."""

from __future__ import annotations

from shoal.live.contract import Backend, Busy, Unavailable
from shoal.live.values import DeviceState, Happening, ServiceState, Signature, TensorForm, UnitState

__all__ = [
    "Backend",
    "Busy",
    "DeviceState",
    "Happening",
    "ServiceState",
    "Signature",
    "TensorForm",
    "Unavailable",
    "UnitState",
]
