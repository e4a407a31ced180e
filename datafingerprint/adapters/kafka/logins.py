"""Logins to the brokers: passwords, OAuth tokens, and the IAM of Amazon MSK."""

from __future__ import annotations

import functools
import math
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import requests
from botocore.exceptions import BotoCoreError
from botocore.session import Session
from kafka.errors import KafkaConnectionError, SaslAuthenticationFailedError
from kafka.net.sasl import register_sasl_mechanism
from kafka.net.sasl.msk import AwsMskIamClient, SaslMechanismAwsMskIam
from kafka.net.sasl.oauth import AbstractTokenProvider
from requests.auth import HTTPBasicAuth

from datafingerprint.config import Kafka
from datafingerprint.errors import ConfigError

CONNECT_TIMEOUT_S = 3.05
READ_TIMEOUT_S = 10.0

RENEWED_AT = 0.8
"""A token is used for this share of its life, so that none expires on its way to a broker."""

LIFE_S = 300.0
"""The life of a token whose answer names none."""

_SERVER_ERROR = 500
_TOO_MANY = 429


def login(kafka: Kafka) -> dict[str, Any]:
    """The settings with which a client logs in.

    Raises:
        ConfigError: the mechanism lacks a setting, or may not be used without TLS.
    """
    mechanism = kafka.sasl_mechanism
    if mechanism == "AWS_MSK_IAM":
        if kafka.security != "sasl_ssl":
            raise ConfigError("AWS_MSK_IAM needs TLS", where="setting kafka.security", remedy="set it to sasl_ssl")
        return {"sasl_mechanism": mechanism}
    if not kafka.user:
        raise ConfigError(f"setting kafka.security is {kafka.security}", remedy="set kafka.user and kafka.password")
    secret = kafka.password.get_secret_value()
    if mechanism == "OAUTHBEARER":
        if kafka.oauth_url.partition("://")[0].lower() not in {"http", "https"}:
            raise ConfigError(
                "setting kafka.oauth_url is not a URL", remedy="write it like https://login.example.com/oauth2/token"
            )
        if "@" in kafka.oauth_url.partition("://")[2].partition("/")[0]:  # errors name the URL
            raise ConfigError(
                "setting kafka.oauth_url has a login in its URL",
                remedy="set kafka.user and kafka.password apart from it",
            )
        provider = token_provider(kafka.oauth_url, kafka.user, secret, kafka.oauth_scope)
        return {"sasl_mechanism": mechanism, "sasl_oauth_token_provider": provider}
    return {"sasl_mechanism": mechanism, "sasl_plain_username": kafka.user, "sasl_plain_password": secret}


class ClientTokens(AbstractTokenProvider):  # type: ignore[misc]  # the library has no types
    """Tokens of an OAuth client, each shared until most of its life is over.

    Several threads may use it.

    Args:
        url: Where tokens are fetched, by client credentials (RFC 6749, 4.4).
        client: The client's id.
        secret: The client's secret.
        scope: The tokens' scope; empty for the server's default.
        clock: A monotonic clock, in seconds.
    """

    def __init__(
        self, url: str, client: str, secret: str, scope: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._url, self._client, self._secret, self._scope = url, client, secret, scope
        self._clock = clock
        self._lock = threading.Lock()
        self._token = ""
        self._until = 0.0

    def token(self) -> str:
        """The current token, fetched if there is none or if it is old.

        Raises:
            SaslAuthenticationFailedError: the server refuses the client, or does not answer with a token.
            KafkaConnectionError: the server is away, and may come back.
        """
        with self._lock:
            if not self._token or self._clock() >= self._until:
                self._token, life_s = self._fetch()
                self._until = self._clock() + RENEWED_AT * life_s
            return self._token

    def _fetch(self) -> tuple[str, float]:
        form = {"grant_type": "client_credentials", **({"scope": self._scope} if self._scope else {})}
        try:
            response = requests.post(
                self._url,
                data=form,
                auth=HTTPBasicAuth(self._client.encode(), self._secret.encode()),
                timeout=(CONNECT_TIMEOUT_S, READ_TIMEOUT_S),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise KafkaConnectionError(f"the token server is away ({type(error).__name__}) at {self._url}") from error
        if response.status_code >= _SERVER_ERROR or response.status_code == _TOO_MANY:
            raise KafkaConnectionError(f"the token server is away (HTTP {response.status_code}) at {self._url}")
        return _token_in(response, self._url)


def _token_in(response: requests.Response, url: str) -> tuple[str, float]:
    """Token and life in seconds. An error shows neither the answer nor the secret."""
    try:
        answer = response.json()
        token, life_s = answer["access_token"], float(answer.get("expires_in", LIFE_S))
        if not math.isfinite(life_s):  # such a token would never be renewed
            life_s = LIFE_S
    except (ValueError, TypeError, KeyError, AttributeError):
        token, life_s = None, 0.0
    if response.status_code != requests.codes.ok or not isinstance(token, str) or not token.isprintable() or not token:
        raise SaslAuthenticationFailedError(f"the token server gives no token (HTTP {response.status_code}) at {url}")
    return token, max(life_s, 0.0)


@functools.lru_cache(maxsize=4)
def token_provider(url: str, client: str, secret: str, scope: str) -> ClientTokens:
    """The tokens of a client, shared by all connections of the process."""
    return ClientTokens(url, client, secret, scope)


_MSK_HOST = re.compile(r"\.(?:kafka|kafka-serverless)\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$")


class MskIam(SaslMechanismAwsMskIam):  # type: ignore[misc]  # the library has no types
    """The login of Amazon MSK by IAM, with the region of the broker's own name.

    The keys are those of the environment, an AWS profile, or the machine's role; temporary ones are renewed. The
    library takes the region from `AWS_DEFAULT_REGION` only, which the container services of Amazon do not set.
    """

    def _build_client(self) -> AwsMskIamClient:
        region = msk_region(self.host)
        try:
            credentials = _session().get_credentials()
            frozen = credentials.get_frozen_credentials() if credentials is not None else None
        except BotoCoreError as error:
            raise KafkaConnectionError(f"the keys for AWS_MSK_IAM cannot be fetched ({error})") from error
        if frozen is None or not region:
            lacking = "keys" if frozen is None else "region (AWS_DEFAULT_REGION)"
            raise SaslAuthenticationFailedError(f"there are no {lacking} for AWS_MSK_IAM")
        return AwsMskIamClient(
            host=self.host,
            access_key=frozen.access_key,
            secret_key=frozen.secret_key,
            region=region,
            token=frozen.token,
        )


def msk_region(host: str) -> str:
    """The region of a broker, by its name, else by the environment; empty if unknown."""
    match = _MSK_HOST.search(host)
    return match[1] if match else str(_session().get_config_variable("region") or "")


@functools.lru_cache(maxsize=1)
def _session() -> Session:
    return Session()


register_sasl_mechanism("AWS_MSK_IAM", MskIam, overwrite=True)
