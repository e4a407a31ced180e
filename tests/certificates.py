"""Certificates made for one test: an authority, what it signs for a server and a client, and another authority."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import serialize_key_and_certificates
from cryptography.x509 import load_pem_x509_certificate

STORE_PASSWORD = "of-the-store"


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files, and of a PKCS 12 store; the server's certificate names one host."""

    authority: Path
    other_authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path
    server_store: Path


def make_certificates(folder: Path, host: str = "127.0.0.1") -> Certificates:
    """Writes all of them below the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    authority, other = trustme.CA(), trustme.CA()
    names = ("ca.pem", "other.pem", "server.pem", "server-key.pem", "client.pem", "client-key.pem", "server.p12")
    made = Certificates(*(folder / name for name in names))
    authority.cert_pem.write_to_path(made.authority)
    other.cert_pem.write_to_path(made.other_authority)
    for certificate, chain, key in (
        (authority.issue_cert(host), made.server, made.server_key),
        (authority.issue_cert("client@example.org"), made.client, made.client_key),
    ):
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(key)
    made.server_store.write_bytes(_java_store(made))
    return made


def _java_store(made: Certificates) -> bytes:
    """The server's certificate and key as servers on Java want them."""
    key = load_pem_private_key(made.server_key.read_bytes(), None)
    certificate = load_pem_x509_certificate(made.server.read_bytes())
    encryption = BestAvailableEncryption(STORE_PASSWORD.encode())
    return serialize_key_and_certificates(b"server", key, certificate, None, encryption)  # type: ignore[arg-type]
