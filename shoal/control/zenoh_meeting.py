"""Who answers at a hub's address, found out before Zenoh connects.

Zenoh says little of why a connection fails. So one plain TLS connection is made with the hub first: what is wrong is
said in words, and the name in the hub's certificate becomes the only one that is listened to afterwards.
"""

from __future__ import annotations

import socket
import ssl

from shoal.control.zenoh_config import Address
from shoal.errors import WireError
from shoal.identity import Identity, Party, Role, check_name, check_peer, contexts

MEET_S = 3.0
REFUSAL_S = 0.3  # with TLS 1.3 a client is done before the server has looked at its certificate
PLAIN_FLEET = "local"


def plain(name: str, role: Role) -> Party:
    """A party without a certificate, for trials on one machine."""
    return Party(PLAIN_FLEET, check_name(name), role)


def check_role(identity: Identity, role: Role) -> Party:
    """The party of `identity`.

    Raises:
        WireError: it is for another role.
    """
    if identity.party.role != role:
        raise WireError(
            "this certificate is for another role",
            where=str(identity.paths.certificate),
            needed=role,
            had=identity.party.role,
        )
    return identity.party


def hub_name(identity: Identity, hub: Address) -> str:
    """The name of the coordinator that answers at `hub`, as its certificate has it.

    Raises:
        WireError: nobody answers, it is none of this fleet's coordinators, or it does not want us.
    """
    where = str(hub)
    try:
        with (
            socket.create_connection((hub.host, hub.port), MEET_S) as bare,
            contexts.client(identity).wrap_socket(bare) as connection,
        ):
            party = check_peer(identity, connection)
            if _closed(connection):
                raise _refused("the connection was closed", identity, where)
    except ssl.SSLCertVerificationError as fault:
        raise WireError(
            f"the hub's certificate does not hold: {fault.verify_message}",
            where=where,
            hint="is it the right fleet, and this machine's clock right?",
        ) from fault
    except ssl.SSLError as fault:
        raise _refused((fault.reason or str(fault)).lower().replace("_", " "), identity, where) from fault
    except OSError as fault:
        raise WireError(
            f"no hub answers: {fault.strerror or fault}", where=where, hint="is `shoal fleet open` running there?"
        ) from fault
    if party.role != "coordinator":
        raise WireError(f"'{party.name}' answers, which is no coordinator", where=where, had=party.role)
    return party.name


def _closed(connection: ssl.SSLSocket) -> bool:
    """Whether the server closes at once, having seen our certificate; one that takes it waits for us to speak."""
    connection.settimeout(REFUSAL_S)
    try:
        return not connection.recv(1)
    except TimeoutError:
        return False


def _refused(why: str, identity: Identity, where: str) -> WireError:
    return WireError(
        f"the hub does not take the certificate of {identity.party} ({why})",
        where=where,
        hint=f"it ends {identity.not_after:%Y-%m-%d %H:%M} UTC; is a clock wrong, or was it of another fleet?",
    )
