"""HTTP over a service: tensors and photos in, answers out; health, metrics, events, and a page of the living fleet."""

from shoal.serve.app import Classifier, app, needed
from shoal.serve.images import Pixels, pixels_of
from shoal.serve.server import bound, check_open, run, secured, serve, url_of

__all__ = [
    "Classifier",
    "Pixels",
    "app",
    "bound",
    "check_open",
    "needed",
    "pixels_of",
    "run",
    "secured",
    "serve",
    "url_of",
]
