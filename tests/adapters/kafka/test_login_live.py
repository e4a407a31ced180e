"""With TLS, a login, or both, the right client is accepted, and others learn the reason."""

from __future__ import annotations

import contextlib
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    KafkaAdminClient,
    ResourcePattern,
    ResourceType,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from datafingerprint.adapters.kafka.checkup import KafkaCheckup
from datafingerprint.adapters.kafka.epoch_log import KafkaEpochLog
from datafingerprint.adapters.kafka.epoch_reader import KafkaEpochReader
from datafingerprint.adapters.kafka.lag import KafkaLagReader
from datafingerprint.checkup import Severity
from datafingerprint.config import Kafka, load_settings
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import ConfigError, Unavailable
from datafingerprint.ports.stream import EpochDraft
from deploy.embedded.ports import free_ports
from tests.certificates import make_certificates
from tests.secure_parts import GUEST, PASSWORD, USER, SecureKafka, running
from tests.token_server import TokenServer, token_server

pytestmark = pytest.mark.live

PREFIX = "let-in"
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    folder = tmp_path_factory.mktemp("broker")
    port, controller_port, *ports = free_ports(5)
    part = SecureKafka(folder / "kafka", port, controller_port, make_certificates(folder / "certificates"), *ports)
    with running(part, folder):
        with contextlib.closing(KafkaAdminClient(bootstrap_servers=part.bootstrap)) as admin:
            for mechanism in (ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512):
                admin.alter_user_scram_credentials([UserScramCredentialUpsertion(USER, mechanism, PASSWORD)])
            admin.create_acls([granted(kind) for kind in DOCUMENTED])
        yield part


# The privileges that docs/running.md lists.
DOCUMENTED = {
    ResourceType.TOPIC: f"{PREFIX}.",
    ResourceType.TRANSACTIONAL_ID: f"{PREFIX}-",
    ResourceType.GROUP: f"{PREFIX}-",
}


def granted(kind: ResourceType) -> ACL:
    pattern = ResourcePattern(kind, DOCUMENTED[kind], ACLResourcePatternType.PREFIXED)
    return ACL(f"User:{USER}", "*", ACLOperation.ALL, ACLPermissionType.ALLOW, pattern)


def settings(broker: SecureKafka, security: str, mechanism: str = "", **more: str) -> Kafka:
    ports = {
        "plaintext": broker.port,
        "sasl_plaintext": broker.sasl_port,
        "sasl_ssl": broker.sasl_ssl_port,
        "ssl": broker.ssl_port,
    }
    given = {
        "bootstrap": f"127.0.0.1:{ports[security]}",
        "security": security,
        "prefix": PREFIX,
        "timeout_s": "3",
        **({"sasl_mechanism": mechanism, "user": USER, "password": PASSWORD} if mechanism else {}),
        **({"ca_file": str(broker.certificates.authority)} if security.endswith("ssl") else {}),
    }
    return load_settings({"kafka": given | more}, {}).kafka


def used(kafka: Kafka) -> None:
    """Publishes an epoch, reads it back with a group, and asks for the lag, as the services do."""
    with (
        contextlib.closing(KafkaEpochLog(kafka)) as log,
        contextlib.closing(KafkaEpochReader(kafka, f"{PREFIX}-test")) as reader,
        contextlib.closing(KafkaLagReader(kafka)) as lag,
    ):
        last = log.open()
        number = last.number + 1 if last else 1
        log.publish(EpochDraft("stream", number, SourcePosition("0-1-1", "binlog.000001", 4), 1.0))
        reader.seek(0, None)
        rows = reader.read(10.0)
        assert rows is not None
        reader.acknowledge(rows)
        assert lag.messages()


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("security", ["sasl_plaintext", "sasl_ssl"])
def test_every_login_is_let_in(broker: SecureKafka, security: str, mechanism: str) -> None:
    used(settings(broker, security, mechanism))


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    with token_server(USER, PASSWORD) as made:
        yield made


@pytest.mark.parametrize("security", ["sasl_plaintext", "sasl_ssl"])
def test_a_client_with_a_token_is_let_in(broker: SecureKafka, tokens: TokenServer, security: str) -> None:
    used(settings(broker, security, "OAUTHBEARER", oauth_url=tokens.url, oauth_scope="kafka"))
    assert tokens.scopes == ["kafka"], "all connections share one token"


def test_a_connection_outlives_its_token_with_the_next_one(broker: SecureKafka, tokens: TokenServer) -> None:
    tokens.life_s = 4.0
    kafka = settings(broker, "sasl_ssl", "OAUTHBEARER", oauth_url=tokens.url)
    with contextlib.closing(KafkaEpochLog(kafka)) as log:
        last = log.open()
        number = last.number + 1 if last else 1
        begin = time.monotonic()
        while time.monotonic() < begin + 3 * tokens.life_s:
            log.publish(EpochDraft("stream", number, SourcePosition("0-1-1", "binlog.000001", 4), 1.0))
            number += 1
    assert len(tokens.scopes) >= 3


def test_an_expired_token_a_wrong_secret_and_a_server_that_is_away_are_each_named(
    broker: SecureKafka, tokens: TokenServer
) -> None:
    tokens.life_s = -60.0
    assert "the broker refuses us" in refused(settings(broker, "sasl_ssl", "OAUTHBEARER", oauth_url=tokens.url))
    wrong = settings(broker, "sasl_ssl", "OAUTHBEARER", oauth_url=tokens.url, password="wrong")
    assert "the token server gives no token (HTTP 401)" in refused(wrong)
    away = settings(broker, "sasl_ssl", "OAUTHBEARER", oauth_url=f"http://127.0.0.1:{free_ports(1)[0]}/token")
    with pytest.raises(Unavailable, match="the token server is away"):
        used(away)


def refused(kafka: Kafka) -> str:
    with pytest.raises(ConfigError) as error, contextlib.closing(KafkaEpochLog(kafka)) as log:
        log.open()
    message = str(error.value)
    assert PASSWORD not in message
    assert len(message) < 500
    return message


def test_an_account_without_privileges_is_refused_and_the_doctor_says_what_it_lacks(broker: SecureKafka) -> None:
    used(settings(broker, "sasl_ssl", "PLAIN"))
    guest = settings(broker, "sasl_ssl", "PLAIN", user=GUEST)
    assert "the broker refuses us" in refused(guest)
    problems = [result for result in KafkaCheckup(guest).findings(None) if result.severity is Severity.PROBLEM]
    assert [problem.check for problem in problems] == ["transactions"]
    assert not [
        result
        for result in KafkaCheckup(settings(broker, "sasl_ssl", "PLAIN")).findings(None)
        if result.severity is Severity.PROBLEM
    ]


def test_a_wrong_authority_stops_a_service(broker: SecureKafka) -> None:
    other = str(broker.certificates.other_authority)
    for ca_file in (other, ""):
        message = refused(settings(broker, "sasl_ssl", "PLAIN", ca_file=ca_file))
        assert "the broker's certificate is not accepted" in message
        assert "check [kafka] ca_file" in message


def test_a_wrong_password_stops_a_service_or_is_named_when_the_broker_just_disconnects(broker: SecureKafka) -> None:
    for mechanism in ("PLAIN", "SCRAM-SHA-512"):
        with pytest.raises((ConfigError, Unavailable)) as error:
            used(settings(broker, "sasl_ssl", mechanism, password="wrong"))
        assert "password" in error.value.remedy


def test_a_client_s_certificate_is_asked_for_and_accepted(broker: SecureKafka) -> None:
    made = broker.certificates
    assert "the TLS connection to the broker fails" in refused(settings(broker, "ssl"))
    own = {"cert_file": str(made.client), "key_file": str(made.client_key)}
    # The client is connected as a user without any privilege.
    text = refused(settings(broker, "ssl", **own))
    assert "the broker refuses us (" in text
    assert "TopicAuthorizationFailedError" in text


def test_a_protocol_other_than_the_listeners_is_named(broker: SecureKafka) -> None:
    plain = f"127.0.0.1:{broker.port}"
    assert "the broker refuses us" in refused(settings(broker, "sasl_plaintext", "PLAIN", bootstrap=plain))
    for hung_up in (
        settings(broker, "sasl_ssl", "PLAIN", bootstrap=plain),
        settings(broker, "plaintext", bootstrap=f"127.0.0.1:{broker.sasl_ssl_port}"),
        settings(broker, "plaintext", bootstrap=f"127.0.0.1:{broker.sasl_port}"),
    ):
        with pytest.raises(Unavailable, match=r"check \[kafka\] security"):
            used(hung_up)


class AlertInTls(socketserver.BaseRequestHandler):
    """How a TLS listener answers plain text: a fatal alert, which is no Kafka message."""

    def handle(self) -> None:
        self.request.recv(1000)
        self.request.sendall(bytes.fromhex("15030300020228"))
        while self.request.recv(1000):  # the client disconnects
            pass


def test_a_tls_answer_to_a_client_without_tls_names_the_setting(broker: SecureKafka) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), AlertInTls) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            bootstrap = f"127.0.0.1:{server.server_address[1]}"
            with pytest.raises(Unavailable, match=r"check \[kafka\] security"):
                used(settings(broker, "plaintext", bootstrap=bootstrap))
        finally:
            server.shutdown()
            thread.join()
