from __future__ import annotations

import pytest

from shoal.control.zenoh_config import address
from shoal.errors import InputError


@pytest.mark.parametrize(
    ("text", "secure", "found"),
    [
        ("tls/10.0.0.2:7000", True, "tls/10.0.0.2:7000"),
        ("10.0.0.2:7000", True, "tls/10.0.0.2:7000"),
        ("hub.local", True, "tls/hub.local:7447"),
        ("tls/[fe80::1]:9", True, "tls/[fe80::1]:9"),
        ("[::1]", False, "tcp/[::1]:7447"),
        ("localhost:80", False, "tcp/localhost:80"),
        ("127.0.0.9", False, "tcp/127.0.0.9:7447"),
    ],
)
def test_addresses(text: str, secure: bool, found: str) -> None:
    assert str(address(text, secure)) == found


@pytest.mark.parametrize("text", ["", "tls/", "udp/1.2.3.4:5", "tls/host:port", "tls/host:99999", "tls/:7447"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InputError, match="not the address of a hub"):
        address(text, True)


@pytest.mark.parametrize("text", ["tcp/10.0.0.2:7447", "0.0.0.0", "hub.local:7447", "tcp/[::]:7447"])
def test_nothing_plain_beyond_this_machine(text: str) -> None:
    with pytest.raises(InputError, match="no plain connections beyond this machine"):
        address(text, False)


def test_certificates_go_with_tls() -> None:
    with pytest.raises(InputError, match="goes with tls"):
        address("tcp/127.0.0.1:7447", True)
    with pytest.raises(InputError, match="none with tcp"):
        address("tls/127.0.0.1:7447", False)
