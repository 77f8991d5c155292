"""The application: routes over a service. HTTP libraries are imported when one is made, not before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shoal.errors import MissingExtra
from shoal.live import Backend
from shoal.serve.images import Pixels, photos_of

if TYPE_CHECKING:
    from fastapi import FastAPI

DEADLINE_S = 10.0


@dataclass(frozen=True)
class Classifier:
    """How photos become the model's input, and what its classes are called."""

    pixels: Pixels | None = None  # none: 0 to 1, the whole middle
    labels: tuple[str, ...] = ()  # none: photos are answered with tensors


def app(
    backend: Backend,
    *,
    name: str,
    page: bool = True,
    deadline_s: float | None = DEADLINE_S,
    classifier: Classifier | None = None,
) -> FastAPI:
    """Serve `backend` as the model `name`; with `page`, `/` shows the fleet as it is.

    `deadline_s`: of a request that says none.

    Raises:
        InputError: `classifier` does not fit the model.
        MissingExtra: the HTTP libraries are not installed.
    """
    needed()
    from shoal.serve.assemble import assembled

    said = classifier or Classifier()
    photos = photos_of(backend.signature, said.pixels, said.labels)
    return assembled(backend, name, page, deadline_s, photos)


def needed() -> None:
    """Find out before anything is started that a library is missing.

    Raises:
        MissingExtra: naming it.
    """
    import importlib

    for library, name in (("fastapi",) * 2, ("uvicorn",) * 2, ("prometheus_client", "prometheus-client")):
        try:
            importlib.import_module(library)
        except ImportError as fault:
            raise MissingExtra(name, "serve") from fault
