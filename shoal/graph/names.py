"""The node names of a model file as other tools know them."""

from __future__ import annotations

from pathlib import Path


def node_names(path: str | Path) -> frozenset[str]:
    """The name of the first output of every node in the file, those included that loading folds or drops."""
    import onnx

    model = onnx.load(path, load_external_data=False)
    return frozenset(node.output[0] for node in model.graph.node if node.output)
