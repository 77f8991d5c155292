"""Which machine figures were taken on: its processor, and the engines installed there."""

from __future__ import annotations

import hashlib
import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ENGINE_PACKAGES = ("onnxruntime", "ncnn")  # whose version changes what an op costs


@cache
def machine_id() -> str:
    """The processor's model, a hash of its instruction sets, and the engines' versions.

    Samples taken under one id are comparable; a new processor or engine makes a new id.
    """
    model, flags = _processor()
    digest = hashlib.sha256(flags.encode()).hexdigest()[:8]
    engines = (f"{name} {found}" for name in ENGINE_PACKAGES if (found := _version(name)))
    return ", ".join((f"{model} [{digest}]", *engines))


def installed_engines() -> tuple[str, ...]:
    """The engines whose library is installed here."""
    return tuple(name for name in ENGINE_PACKAGES if _version(name))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> tuple[str, str]:
    """Model in words, and the instruction sets as the system lists them."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8", errors="replace").splitlines() if info.exists() else []
    facts: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    model = facts.get("model name") or facts.get("CPU part") or platform.processor() or platform.machine()
    return " ".join(model.split()), facts.get("flags") or facts.get("Features", "")
