"""The command line: one thin file for each verb, loaded when it is called."""

from shoal.cli.app import main

__all__ = ["main"]
