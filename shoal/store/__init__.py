"""Tensors larger than memory: tiers, a budget, what is fetched beforehand and what leaves."""

from shoal.store.contract import POLICIES, PREDICTORS, Guess, Keeper, Policy, Predictor, Tier
from shoal.store.file import FileTier, write_file
from shoal.store.ledger import DEMAND, Begun, Ledger
from shoal.store.memory import MemoryTier
from shoal.store.routes import NOBODY, RoutingTrace, joined
from shoal.store.store import TensorStore
from shoal.store.throttle import Throttled
from shoal.store.told import Preload, Read, Told, Use
from shoal.store.values import PAGE, Key, Part, Record, TierFigures, pages

__all__ = [
    "DEMAND",
    "NOBODY",
    "PAGE",
    "POLICIES",
    "PREDICTORS",
    "Begun",
    "FileTier",
    "Guess",
    "Keeper",
    "Key",
    "Ledger",
    "MemoryTier",
    "Part",
    "Policy",
    "Predictor",
    "Preload",
    "Read",
    "Record",
    "RoutingTrace",
    "TensorStore",
    "Throttled",
    "Tier",
    "TierFigures",
    "Told",
    "Use",
    "joined",
    "pages",
    "write_file",
]
