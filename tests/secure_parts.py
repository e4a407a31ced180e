"""The embedded broker and object store with listeners that want TLS and a login, for tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.kafka import Kafka
from deploy.embedded.part import HOST, Part
from deploy.embedded.process import Process
from deploy.embedded.s3 import S3
from deploy.embedded.waiting import await_condition
from tests.certificates import STORE_PASSWORD, Certificates

USER, GUEST, PASSWORD = "dfp", "guest", "not-shown"
READY_S = 60.0

_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule required"
_OAUTH = (
    "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required "
    # The broker logs in too, though it talks to no other one.
    'unsecuredLoginStringClaim_sub="broker" '
    'unsecuredValidatorAllowableClockSkewMs="1000";'
)
_VALIDATOR = (
    "org.apache.kafka.common.security.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler"
)
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


@dataclass(frozen=True)
class SecureKafka(Kafka):
    """A broker that also listens where one must encrypt, log in, or both; everybody else is the administrator."""

    certificates: Certificates
    sasl_port: int
    sasl_ssl_port: int
    ssl_port: int

    def properties(self) -> dict[str, str]:
        """See `Kafka`."""
        given = super().properties()
        more = {"SASL_PLAINTEXT": self.sasl_port, "SASL_SSL": self.sasl_ssl_port, "SSL": self.ssl_port}
        listeners = "".join(f",{name}://{HOST}:{port}" for name, port in more.items())
        protocols = "".join(f",{name}:{name}" for name in more)
        logins = {
            f"listener.name.{listener}.{mechanism}.sasl.jaas.config": module
            for listener in ("sasl_plaintext", "sasl_ssl")
            for mechanism, module in (
                ("plain", f'{_PLAIN} user_{USER}="{PASSWORD}" user_{GUEST}="{PASSWORD}";'),
                ("scram-sha-256", _SCRAM),
                ("scram-sha-512", _SCRAM),
                ("oauthbearer", _OAUTH),
            )
        }
        # Kafka's own validator for development: it takes tokens without a signature, and checks their life.
        validator = {
            f"listener.name.{listener}.oauthbearer.sasl.server.callback.handler.class": _VALIDATOR
            for listener in ("sasl_plaintext", "sasl_ssl")
        }
        return {
            **given,
            "listeners": given["listeners"] + listeners,
            "advertised.listeners": given["advertised.listeners"] + listeners,
            "listener.security.protocol.map": given["listener.security.protocol.map"] + protocols,
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            **logins,
            **validator,
            # A connection lives as long as its token, so that a client must bring the next one in time.
            "connections.max.reauth.ms": "3600000",
            "ssl.keystore.location": str(self.certificates.server_store),
            "ssl.keystore.type": "PKCS12",
            "ssl.keystore.password": STORE_PASSWORD,
            "ssl.truststore.location": str(self.certificates.authority),
            "ssl.truststore.type": "PEM",
            "listener.name.ssl.ssl.client.auth": "required",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }


@dataclass(frozen=True)
class SecureS3(S3):
    """A store that listens for https as well."""

    certificates: Certificates
    https_port: int

    @property
    def https(self) -> str:
        """The URL of its listener for https."""
        return f"https://{HOST}:{self.https_port}"

    def properties(self) -> dict[str, str]:
        """See `S3`."""
        return {
            **super().properties(),
            "s3proxy.secure-endpoint": self.https,
            "s3proxy.keystore-path": str(self.certificates.server_store),
            "s3proxy.keystore-password": STORE_PASSWORD,
        }


@contextlib.contextmanager
def running(part: Part, folder: Path) -> Iterator[None]:
    """Starts a part, and ends it afterwards."""
    part.prepare()
    process = Process(part.command(), folder / f"{part.name}.log")
    try:
        assert await_condition(part.is_ready, timeout_s=READY_S), (folder / f"{part.name}.log").read_text()
        yield
    finally:
        process.stop()
