"""What was changed in a model, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

_NOTHING = object()


class Handle:
    """Undoes changes in the opposite order; what was replaced comes back itself, not a copy."""

    def __init__(self) -> None:
        self._ways_back: list[Callable[[], object]] = []

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute."""
        before = getattr(owner, name, _NOTHING)
        if before is _NOTHING:
            self._ways_back.append(lambda: delattr(owner, name))
        else:
            self._ways_back.append(lambda: setattr(owner, name, before))
        setattr(owner, name, value)

    def hook(self, module: nn.Module, changed: Callable[[Any, Any, Any], Any]) -> None:
        """Have a module's outputs changed: called with module, inputs and outputs."""
        self._ways_back.append(module.register_forward_hook(changed).remove)

    def later(self, way_back: Callable[[], object]) -> None:
        """Do this to undo what was just done."""
        self._ways_back.append(way_back)

    def implement(self, model: Any, name: str) -> None:
        """Have transformers compute the model's experts by the implementation that it knows under this name."""
        before = model.config._experts_implementation
        self._ways_back.append(lambda: model.set_experts_implementation(before))
        model.set_experts_implementation(name)

    def loops(self, model: Any) -> None:
        """Have experts multiplied one after another: the only way in which a choice that was struck out costs nothing."""
        self.implement(model, "eager")

    def take(self, other: Handle) -> None:
        """Undo what another handle would."""
        self._ways_back.append(other.undo)

    def undo(self) -> None:
        """Leave the model as it was, to the last bit; a second time nothing happens. What fails is tried again then."""
        while self._ways_back:
            self._ways_back[-1]()
            self._ways_back.pop()
