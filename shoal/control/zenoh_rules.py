"""Who may say what over a control plane: access rules of Zenoh, by the common name in the certificate.

Everything that is not allowed is denied. The hub holds all others to these rules; devices and other coordinators
hold the hub to them, so that a device that poses as the hub is not listened to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shoal.control.zenoh_keys import Keys

DEVICE_SAYS = ("put", "reply", "declare_queryable", "liveliness_token")
COORDINATOR_SAYS = ("query", "declare_subscriber", "liveliness_query", "declare_liveliness_subscriber")


def hub_rules(fleet: str, members: Mapping[str, str]) -> dict[str, Any]:
    """What the hub lets `members` (name → "device" or "coordinator") say and hear."""
    entries: list[tuple[str, Iterable[str], Iterable[str], str]] = []
    for name, role in members.items():
        if role == "coordinator":
            entries.append((name, COORDINATOR_SAYS, DEVICE_SAYS, Keys(fleet).of("*")))
        else:
            entries.append((name, DEVICE_SAYS, ("query",), Keys(fleet, name).of("*")))
    return _rules(entries)


def device_rules(fleet: str, name: str, hub: str) -> dict[str, Any]:
    """What the device `name` lets the hub say and hear."""
    return _rules([(hub, ("query",), DEVICE_SAYS, Keys(fleet, name).of("*"))])


def coordinator_rules(fleet: str, hub: str) -> dict[str, Any]:
    """What another coordinator lets the hub say and hear."""
    return _rules([(hub, DEVICE_SAYS, COORDINATOR_SAYS, Keys(fleet).of("*"))])


def _rules(entries: Iterable[tuple[str, Iterable[str], Iterable[str], str]]) -> dict[str, Any]:
    """Access control by (common name, what may come from it, what may go to it, keys)."""
    rules, subjects, policies = [], [], []
    for name, comes, goes, keys in entries:
        for flow, messages in (("ingress", comes), ("egress", goes)):
            rules.append(
                {"id": f"{flow} {name}", "permission": "allow", "flows": [flow], "messages": [*messages]}
                | {"key_exprs": [keys]}
            )
        subjects.append({"id": name, "cert_common_names": [name]})
        policies.append({"rules": [f"ingress {name}", f"egress {name}"], "subjects": [name]})
    return {
        "enabled": True,
        "default_permission": "deny",
        "rules": rules,
        "subjects": subjects,
        "policies": policies,
    }
