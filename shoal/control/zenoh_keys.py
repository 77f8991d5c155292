"""The keys of a fleet's control plane.

Below `shoal/FLEET/device/NAME/BOOT/` every start of a device has `alive` (a token), `announcement` and `verdict`
(it answers there), `vitals` (it tells) and `do` (it answers). A device is only let to keys below its own NAME;
BOOT keeps two holders of one certificate apart. Names are those of `identity.check_name`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Keys:
    """The keys of one start of one device; "*" for any."""

    fleet: str
    name: str = "*"
    boot: str = "*"

    def of(self, what: str) -> str:
        """The key of one of its things."""
        return f"shoal/{self.fleet}/device/{self.name}/{self.boot}/{what}"

    @property
    def alive(self) -> str:
        """The token that is there as long as the device is."""
        return self.of("alive")

    @property
    def announcement(self) -> str:
        """Asked for what it announces, and told when that changes."""
        return self.of("announcement")

    @property
    def verdict(self) -> str:
        """Where the hub says whether it may stay."""
        return self.of("verdict")

    @property
    def vitals(self) -> str:
        """Where it says how it is."""
        return self.of("vitals")

    @property
    def do(self) -> str:
        """Where it is asked to do something."""
        return self.of("do")


def name_and_boot(key: str) -> tuple[str, str]:
    """Whose key this is."""
    name, boot = key.split("/")[3:5]
    return name, boot
