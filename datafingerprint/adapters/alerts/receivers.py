"""Opens the receivers of the settings, or refuses them with the reason."""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote

import apprise

from datafingerprint.adapters.alerts.webhook import Webhook
from datafingerprint.alerts import Content
from datafingerprint.config import Alerts, Api
from datafingerprint.errors import ConfigError
from datafingerprint.ports.receivers import DeliveryError, Receiver

KEY_DIGITS = 8

_SECRET_LENGTH_MIN = 4
_REMEDY = "write it as Apprise's page about this kind of receiver says"
_PIECES = re.compile(r"[^\w.%+-]+")


class AppriseReceiver:
    """Implements `Receiver` over a service that Apprise knows.

    Args:
        url: The service's URL.

    Raises:
        ConfigError: The URL cannot work.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._service = _service(url)

    @property
    def key(self) -> str:
        """See the port."""
        return receiver_key(self._url)

    @property
    def address(self) -> str:
        """See the port."""
        # Headers of a request are in the query, and may be secrets.
        return str(self._service.url(privacy=True)).partition("?")[0]  # type: ignore[no-untyped-call]

    def send(self, content: Content) -> None:
        """See the port."""
        client = apprise.Apprise()
        client.add(self._service)
        kind = apprise.NotifyType.SUCCESS if content.is_good else apprise.NotifyType.WARNING
        with _warnings() as warnings:
            is_sent = bool(
                client.notify(
                    title=content.title, body=content.body, notify_type=kind, body_format=apprise.NotifyFormat.TEXT
                )
            )
        if not is_sent:
            reason = masked(warnings[0], self._url) if warnings else "the receiver did not take the message"
            raise DeliveryError(reason)


def open_receivers(alerts: Alerts) -> list[Receiver]:
    """All receivers of the settings.

    Raises:
        ConfigError: A URL cannot work. The reason holds no secret.
    """
    apprise.logger.propagate = False  # what it logs may name tokens
    receivers: list[Receiver] = []
    for number, url in enumerate(alerts.urls.get_secret_value().split(), start=1):
        try:
            receivers.append(AppriseReceiver(url))
        except ConfigError as error:
            raise ConfigError(
                f"URL {number} of setting alerts.urls cannot work: {error.what}", remedy=error.remedy
            ) from None
    webhook = alerts.webhook.get_secret_value().strip()
    if webhook:
        receivers.append(
            Webhook(
                receiver_key(webhook, "webhook"), webhook, alerts.webhook_secret.get_secret_value(), alerts.timeout_s
            )
        )
    return list({receiver.key: receiver for receiver in receivers}.values())


def public_url(alerts: Alerts, api: Api) -> str:
    """The REST service as readers of alerts reach it."""
    return (alerts.public_url or f"http://{api.host}:{api.port}").rstrip("/")


def receiver_key(url: str, kind: str = "") -> str:
    """The name of a receiver: its scheme, and a digest of its URL."""
    scheme = kind or re.sub(r"\W", "", url.partition(":")[0])[:20]
    return f"{scheme}-{hashlib.sha256(url.encode()).hexdigest()[:KEY_DIGITS]}"


def masked(text: str, url: str) -> str:
    """A text without anything that is only in the URL: users, passwords, tokens, hosts."""
    rest = url.partition("://")[2]
    pieces = {piece for part in (rest, unquote(rest)) for piece in _PIECES.split(part)}
    for piece in sorted(pieces, key=len, reverse=True):
        if len(piece) >= _SECRET_LENGTH_MIN:
            text = text.replace(piece, "****")
    return text


class _Warnings(logging.Handler):
    """Keeps the warnings of one thread."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the first line."""
        if record.thread == self._thread:
            self.texts.append(record.getMessage().strip().partition("\n")[0])


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """What the client warns of in this block. It only logs why it failed.

    Its warnings name the host. Its other levels hold secrets, and are never read.
    """
    handler = _Warnings()
    apprise.logger.addHandler(handler)
    try:
        yield handler.texts
    finally:
        apprise.logger.removeHandler(handler)


def _service(url: str) -> apprise.NotifyBase:
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise ConfigError("it is no URL", remedy=_REMEDY)
    try:
        service = apprise.Apprise.instantiate(url, suppress_exceptions=False)
    except (TypeError, ValueError, apprise.exception.AppriseException) as error:
        raise ConfigError(masked(str(error), url), remedy=_REMEDY) from None
    if not isinstance(service, apprise.NotifyBase):
        what = f"{scheme}:// is unknown, or the rest of the URL is invalid"
        raise ConfigError(what, remedy=_REMEDY)
    return service
