"""OAuth tokens are shared and renewed in time; a login to Amazon MSK has the form that its brokers expect."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from kafka.errors import KafkaConnectionError, SaslAuthenticationFailedError
from kafka.net.sasl import get_sasl_mechanism

from datafingerprint.adapters.kafka import logins
from datafingerprint.adapters.kafka.clients import connection
from datafingerprint.adapters.kafka.logins import LIFE_S, RENEWED_AT, ClientTokens, MskIam, msk_region
from datafingerprint.config import load_settings
from datafingerprint.errors import ConfigError
from deploy.embedded.ports import free_ports
from tests.token_server import TokenServer, token_server

SECRET = "s3cret:with@signs"


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with token_server("dfp", SECRET) as made:
        yield made


def test_one_token_is_used_for_most_of_its_life_and_then_renewed(server: TokenServer) -> None:
    now = 0.0
    tokens = ClientTokens(server.url, "dfp", SECRET, "kafka", lambda: now)
    server.life_s = 100.0
    first = tokens.token()
    now = 100.0 * RENEWED_AT - 0.1
    assert tokens.token() == first
    now = 100.0 * RENEWED_AT
    assert tokens.token() != first
    assert server.scopes == ["kafka", "kafka"]


def test_a_token_without_a_rest_of_life_is_fetched_each_time(server: TokenServer) -> None:
    server.life_s = 0.0
    tokens = ClientTokens(server.url, "dfp", SECRET, "")
    tokens.token()
    tokens.token()
    assert server.scopes == ["", ""]


@pytest.mark.parametrize("life", [b"NaN", b"Infinity", b'"nan"'])
def test_a_life_that_is_no_number_does_not_make_a_token_last_forever(life: bytes, server: TokenServer) -> None:
    now = 0.0
    tokens = ClientTokens(server.url, "dfp", SECRET, "", lambda: now)
    server.body = b'{"access_token": "a", "expires_in": %s}' % life
    assert tokens.token() == "a"
    now = LIFE_S
    server.body = b'{"access_token": "b", "expires_in": 100}'
    assert tokens.token() == "b"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b'{"access_token": 1}', b'{"access_token": "a\\u0001b"}', b"{}"]
)
def test_an_answer_without_a_token_is_a_refusal_that_shows_no_secret(body: bytes, server: TokenServer) -> None:
    server.body = body
    with pytest.raises(SaslAuthenticationFailedError, match=r"the token server gives no token \(HTTP 200\)") as raised:
        ClientTokens(server.url, "dfp", SECRET, "").token()
    assert SECRET not in str(raised.value)


def test_a_wrong_secret_is_refused(server: TokenServer) -> None:
    with pytest.raises(SaslAuthenticationFailedError, match="HTTP 401"):
        ClientTokens(server.url, "dfp", "another", "").token()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_may_come_back(status: int, server: TokenServer) -> None:
    server.status = status
    tokens = ClientTokens(server.url, "dfp", SECRET, "")
    with pytest.raises(KafkaConnectionError, match=f"the token server is away .HTTP {status}"):
        tokens.token()
    server.status = 200
    assert tokens.token()


def test_a_server_that_is_away_may_come_back() -> None:
    (port,) = free_ports(1)
    with pytest.raises(KafkaConnectionError, match=r"the token server is away \(ConnectionError"):
        ClientTokens(f"http://127.0.0.1:{port}/token", "dfp", SECRET, "").token()


REFUSED: list[tuple[dict[str, str], str, str]] = [
    ({"security": "sasl_ssl", "sasl_mechanism": "OAUTHBEARER", "user": "dfp"}, "oauth_url is not a URL", "https://"),
    (
        {"security": "sasl_ssl", "sasl_mechanism": "OAUTHBEARER", "oauth_url": "https://h"},
        "kafka.security",
        "kafka.user",
    ),
    (
        {
            "security": "sasl_ssl",
            "sasl_mechanism": "OAUTHBEARER",
            "user": "dfp",
            "oauth_url": "https://dfp:secret@h/token",
        },
        "oauth_url has a login in its URL",
        "kafka.password",
    ),
    ({"security": "sasl_plaintext", "sasl_mechanism": "AWS_MSK_IAM"}, "AWS_MSK_IAM needs TLS", "sasl_ssl"),
]


@pytest.mark.parametrize(("kafka", "what", "remedy"), REFUSED)
def test_a_login_that_lacks_a_setting_is_refused(kafka: dict[str, str], what: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=what) as raised:
        connection(load_settings({"kafka": kafka}, {}).kafka)
    assert remedy in raised.value.remedy


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keys of the environment, as the AWS examples have them."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "the/session+token==")
    logins._session.cache_clear()
    yield
    logins._session.cache_clear()


MSK = "b-1.games.abc123.c2.kafka.eu-west-1.amazonaws.com"


@pytest.mark.usefixtures("keys")
def test_a_login_to_msk_is_signed_for_the_broker_and_its_region() -> None:
    """Signed again here, by the steps of AWS's documentation of Signature Version 4."""
    mechanism = get_sasl_mechanism("AWS_MSK_IAM")
    assert mechanism is MskIam
    sent: dict[str, Any] = json.loads(mechanism(host=MSK, security_protocol="SASL_SSL").auth_bytes())
    assert {name: sent[name] for name in ("version", "host", "action", "x-amz-algorithm", "x-amz-signedheaders")} == {
        "version": "2020_10_22",
        "host": MSK,
        "action": "kafka-cluster:Connect",
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-signedheaders": "host",
    }
    day = sent["x-amz-date"][:8]
    scope = f"{day}/eu-west-1/kafka-cluster/aws4_request"
    assert sent["x-amz-credential"] == f"AKIDEXAMPLE/{scope}"
    assert (sent["x-amz-expires"], sent["x-amz-security-token"]) == ("900", "the/session+token==")
    query = {
        "Action": sent["action"],
        "X-Amz-Algorithm": sent["x-amz-algorithm"],
        "X-Amz-Credential": sent["x-amz-credential"],
        "X-Amz-Date": sent["x-amz-date"],
        "X-Amz-Expires": sent["x-amz-expires"],
        "X-Amz-Security-Token": sent["x-amz-security-token"],
        "X-Amz-SignedHeaders": "host",
    }
    text = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(query.items()))
    request = f"GET\n/\n{text}\nhost:{MSK}\n\nhost\n{hashlib.sha256(b'').hexdigest()}"
    wanted = f"AWS4-HMAC-SHA256\n{sent['x-amz-date']}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = b"AWS4wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
    for part in (day, "eu-west-1", "kafka-cluster", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    assert sent["x-amz-signature"] == hmac.new(key, wanted.encode(), "sha256").hexdigest()


@pytest.mark.usefixtures("keys")
def test_the_region_is_that_of_the_brokers_name_and_else_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    assert msk_region("boot-abc.c1.kafka-serverless.us-east-2.amazonaws.com") == "us-east-2"
    assert msk_region("b-1.x.c2.kafka.cn-north-1.amazonaws.com.cn") == "cn-north-1"
    assert msk_region("kafka.example.com") == ""
    with pytest.raises(SaslAuthenticationFailedError, match="no region"):
        MskIam(host="kafka.example.com", security_protocol="SASL_SSL").auth_bytes()
    logins._session.cache_clear()
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-north-1")
    assert msk_region("kafka.example.com") == "eu-north-1"


def test_no_keys_for_msk_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Empty:
        def get_credentials(self) -> None:
            return None

    monkeypatch.setattr(logins, "_session", Empty)
    with pytest.raises(SaslAuthenticationFailedError, match="there are no keys for AWS_MSK_IAM"):
        MskIam(host=MSK, security_protocol="SASL_SSL").auth_bytes()
