"""The signed webhook: a POST of JSON, with an HMAC by which the receiver knows the sender."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import urllib3

from datafingerprint.alerts import Content
from datafingerprint.errors import ConfigError
from datafingerprint.ports.receivers import DeliveryError

SECRET_LENGTH_MIN = 16

ID_HEADER = "X-DataFingerprint-Id"
TIME_HEADER = "X-DataFingerprint-Timestamp"
SIGNATURE_HEADER = "X-DataFingerprint-Signature"

_OK = range(200, 300)


class Webhook:
    """Implements `Receiver`. A redirect is an error: the signature is meant for one address.

    Args:
        key: Its name.
        url: `http://…` or `https://…`.
        secret: Key of the signatures.
        timeout_s: Seconds for connecting, and for each part of the answer.
        clock: Unix time in seconds.

    Raises:
        ConfigError: The URL or the secret cannot work.
    """

    def __init__(
        self, key: str, url: str, secret: str, timeout_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ConfigError("setting alerts.webhook is no URL of HTTP", remedy="write https://host/path")
        if len(secret) < SECRET_LENGTH_MIN:
            raise ConfigError(
                "setting alerts.webhook_secret is too short for signatures",
                remedy=f"set it to at least {SECRET_LENGTH_MIN} random characters, also at the receiver",
            )
        self._key = key
        self._url = url
        self._secret = secret.encode()
        self._clock = clock
        self._address = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "") + "/****"
        self._pool = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=timeout_s, read=timeout_s), retries=False, num_pools=1
        )

    @property
    def key(self) -> str:
        """See the port."""
        return self._key

    @property
    def address(self) -> str:
        """See the port."""
        return self._address

    def send(self, content: Content) -> None:
        """See the port."""
        body = json.dumps(content.payload, ensure_ascii=False).encode()
        sent_at = str(int(self._clock()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "DataFingerprint",
            ID_HEADER: content.id,
            TIME_HEADER: sent_at,
            SIGNATURE_HEADER: signature(self._secret, sent_at, body),
        }
        try:
            response = self._pool.request("POST", self._url, body=body, headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise DeliveryError(f"the webhook did not answer ({type(error).__name__})") from None
        if response.status not in _OK:
            raise DeliveryError(f"the webhook answers {response.status}")


def signature(secret: bytes, sent_at: str, body: bytes) -> str:
    """`sha256=` and the HMAC-SHA256 of the timestamp, a dot, and the body."""
    return "sha256=" + hmac.new(secret, sent_at.encode() + b"." + body, hashlib.sha256).hexdigest()
