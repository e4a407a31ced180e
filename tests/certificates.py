"""Certificates made for one test: an authority, what it signs for a server and a client, and another authority."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files; the server's names 127.0.0.1 or another host, the client's names nobody."""

    authority: Path
    other_authority: Path
    server: Path
    server_key: Path
    client: Path
    client_key: Path


def make_certificates(folder: Path, host: str = "127.0.0.1") -> Certificates:
    """Writes all of them below the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    authority, other = trustme.CA(), trustme.CA()
    made = Certificates(*(folder / f"{name}.pem" for name in ("ca", "other", "server", "server-key", "client", "key")))
    authority.cert_pem.write_to_path(made.authority)
    other.cert_pem.write_to_path(made.other_authority)
    for certificate, chain, key in (
        (authority.issue_cert(host), made.server, made.server_key),
        (authority.issue_cert("client@example.org"), made.client, made.client_key),
    ):
        chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
        certificate.private_key_pem.write_to_path(key)
    return made
