"""The page of the living fleet as one document: its styles and scripts are in it, and it asks no other server."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from html import escape
from importlib import resources

SCRIPTS = ("charts.js", "fleet.js", "page.js")


def document(name: str) -> str:
    """The page about the model `name`, whole."""
    scripts = "\n".join(f"<script>{text}</script>" for text in _scripts())
    return (
        _text("shoal.serve", "page/page.html")
        .replace("<!-- styles -->", f"<style>{_styles()}</style>")
        .replace("<!-- scripts -->", scripts)
        .replace("<!-- name -->", escape(name))
    )


@cache
def policy() -> str:
    """What the page may do: run the scripts it was written with, and listen to its own server."""
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in _scripts())
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


@cache
def _scripts() -> tuple[str, ...]:
    return tuple(_text("shoal.serve", f"page/{name}") for name in SCRIPTS)


def _styles() -> str:
    """Those of the reports, and what this page adds."""
    return _text("shoal.report", "page.css") + _text("shoal.serve", "page/page.css")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _text(package: str, name: str) -> str:
    return (resources.files(package) / name).read_text(encoding="utf-8")
