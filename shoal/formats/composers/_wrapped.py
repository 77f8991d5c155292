"""What composed formats share: the parameters of what they wrap stand among their own."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.formats.contract import Codes, Format, Matrix, Params


@dataclass(frozen=True)
class Wrapped:
    """Passes on what it does not change. Its parameters do not fit a part of the columns."""

    base: Format

    by_column = False

    @property
    def group(self) -> int:
        """The base's."""
        return self.base.group

    def bracket(self, weights: Matrix, params: Params) -> tuple[Codes, Codes]:
        """See `Format.bracket`."""
        return self.base.bracket(weights, params)


def own(params: Params, *names: str) -> Params:
    """Those of the parameters that are the base's."""
    return {name: each for name, each in params.items() if name not in names}
