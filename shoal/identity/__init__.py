"""Who is who in a fleet: its certificate authority, the certificates it gives, and invitations to join."""

from __future__ import annotations

from shoal.identity import authority, contexts, invitation, request, signing
from shoal.identity.authority import Authority
from shoal.identity.contexts import check_peer, party_of
from shoal.identity.invitation import Invitation
from shoal.identity.load import load
from shoal.identity.names import check_name, fleet_folder
from shoal.identity.revoked import read_revoked, write_revoked
from shoal.identity.values import Identity, Party, Role

__all__ = [
    "Authority",
    "Identity",
    "Invitation",
    "Party",
    "Role",
    "authority",
    "check_name",
    "check_peer",
    "contexts",
    "fleet_folder",
    "invitation",
    "load",
    "party_of",
    "read_revoked",
    "request",
    "signing",
    "write_revoked",
]
