"""The node names of a model file as other tools know them."""

from __future__ import annotations

from pathlib import Path

from shoal.graph.load import parse


def node_names(path: str | Path) -> frozenset[str]:
    """The name of the first output of every node in the file, those included that loading folds or drops.

    Raises:
        ModelError: the file cannot be read, or is no ONNX model.
    """
    return frozenset(node.output[0] for node in parse(Path(path)).graph.node if node.output)
