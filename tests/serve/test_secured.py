"""Mutual TLS: a client of the same authority is answered, any other gets nothing."""

from __future__ import annotations

import datetime
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shoal import serve
from shoal.serve.draining import Draining
from shoal.serve.server import config
from tests.serve.conftest import wait_for
from tests.serve.scripted import Scripted, sums

NOW = datetime.datetime.now(datetime.UTC)


def identity(folder: Path, authority: Path | None = None) -> Path:
    """An identity folder, of a new authority or that of another folder."""
    folder.mkdir()
    root_key, root = _made("root", None, None) if authority is None else _read(authority)
    key, certificate = _made(folder.name, root_key, root)
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    for name, each in (("key.pem", key), ("root.pem", root_key)):
        (folder / name).write_bytes(each.private_bytes(serialization.Encoding.PEM, form, plain))
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "authority.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    return folder


def _read(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = serialization.load_pem_private_key((folder / "root.pem").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key, x509.load_pem_x509_certificate((folder / "authority.pem").read_bytes())


def _made(
    name: str, root_key: ec.EllipticCurvePrivateKey | None, root: x509.Certificate | None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(root.subject if root else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(days=1))
        .not_valid_after(NOW + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=root is None, path_length=None), critical=True)
    )
    return key, builder.sign(root_key or key, hashes.SHA256())


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    made = serve.app(Scripted(sums), name="small")
    ready = threading.Event()
    with serve.bound("127.0.0.1", 0) as sock:

        async def drained() -> bool:
            return True

        context = serve.secured(identity(tmp_path / "server"))
        server = Draining(config(made, context), drained, ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        wait_for(ready.is_set)
        yield serve.url_of(sock, secure=True).replace("127.0.0.1", "localhost")
        server.should_exit = True
        thread.join()


def client(authority: Path, own: Path | None) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(authority / "authority.pem"))
    if own is not None:
        context.load_cert_chain(own / "certificate.pem", own / "key.pem")
    return httpx.Client(verify=context)


def test_only_who_shows_a_certificate_of_the_authority_is_answered(url: str, tmp_path: Path) -> None:
    server = tmp_path / "server"
    with client(server, identity(tmp_path / "friend", server)) as friend:
        assert friend.get(f"{url}/healthz").json() == {"live": True}
    for own in (None, identity(tmp_path / "stranger")):
        with client(server, own) as stranger, pytest.raises(httpx.TransportError):
            stranger.get(f"{url}/healthz")
    with httpx.Client() as plain, pytest.raises(httpx.TransportError):
        plain.get(url.replace("https", "http"))
