"""Receivers: what cannot work is refused without showing a secret, and a signed webhook is what it says."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from pydantic import SecretStr

from datafingerprint.adapters.alerts.receivers import AppriseReceiver, masked, open_receivers, public_url
from datafingerprint.adapters.alerts.webhook import Webhook
from datafingerprint.alerts import Content
from datafingerprint.config import Alerts, Api
from datafingerprint.errors import ConfigError
from datafingerprint.ports.receivers import DeliveryError

SECRET = "a secret of the webhook"
SAID = Content("an-id", "title", "body é", {"version": 1, "text": "é"}, is_good=False)


class Hook(ThreadingHTTPServer):
    """A web server that keeps what is posted to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status = 200
        self.posted: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook/topsecretpath"


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.posted.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(server.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_is_signed_over_time_and_body(hook: Hook) -> None:
    Webhook("webhook-1", hook.url, SECRET, 5.0, clock=lambda: 1234.5).send(SAID)
    ((headers, body),) = hook.posted
    expected = hmac.new(SECRET.encode(), b"1234." + body, hashlib.sha256).hexdigest()
    assert headers["x-datafingerprint-signature"] == f"sha256={expected}"
    assert (headers["x-datafingerprint-timestamp"], headers["x-datafingerprint-id"]) == ("1234", "an-id")
    assert json.loads(body) == SAID.payload


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_does_not_take_it_is_an_error_without_its_path(hook: Hook, status: int) -> None:
    hook.status = status
    receiver = Webhook("webhook-1", hook.url, SECRET, 5.0)
    with pytest.raises(DeliveryError, match=f"answers {status}") as error:
        receiver.send(SAID)
    assert "topsecret" not in f"{error.value} {receiver.address}"
    assert len(hook.posted) == 1


def test_a_webhook_that_is_away_is_an_error(hook: Hook) -> None:
    url = hook.url
    hook.server_close()
    with pytest.raises(DeliveryError, match="did not answer"):
        Webhook("webhook-1", url, SECRET, 1.0).send(SAID)


def test_apprise_sends_to_a_real_receiver_and_says_why_not(hook: Hook) -> None:
    url = hook.url.replace("http://", "json://ops:hunter22@")
    receiver = AppriseReceiver(url)
    receiver.send(SAID)
    assert json.loads(hook.posted[0][1])["message"] == "body é"
    hook.status = 500
    with pytest.raises(DeliveryError) as error:
        receiver.send(SAID)
    assert "hunter22" not in f"{error.value} {receiver.address} {receiver.key}"


@pytest.mark.parametrize(
    ("urls", "reason"),
    [
        ("nosuch://host/hunter22", "nosuch"),
        ("hunter22", "no URL"),
        ("slack://hunter22", "Slack"),
        ("mailto://", "email"),
        ("json://host mailto://hunter22", "URL 2"),
    ],
)
def test_a_url_that_cannot_work_is_refused_with_the_reason_and_without_secrets(urls: str, reason: str) -> None:
    with pytest.raises(ConfigError) as error:
        open_receivers(Alerts(urls=SecretStr(urls)))
    assert reason in str(error.value)
    assert "hunter22" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "secret", "reason"),
    [("ftp://x", SECRET, "no URL"), ("https://", SECRET, "no URL"), ("https://x/y", "short", "webhook_secret")],
)
def test_a_webhook_that_cannot_work_is_refused(url: str, secret: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        open_receivers(Alerts(webhook=SecretStr(url), webhook_secret=SecretStr(secret)))


def test_receivers_have_stable_names_and_the_same_url_is_one() -> None:
    alerts = Alerts(
        urls=SecretStr("json://a:pass@h/x\njson://a:pass@h/x json://b:pass@h/x"),
        webhook=SecretStr("https://h/x"),
        webhook_secret=SecretStr(SECRET),
    )
    keys = [receiver.key for receiver in open_receivers(alerts)]
    assert keys == [receiver.key for receiver in open_receivers(alerts)]
    assert [key.partition("-")[0] for key in keys] == ["json", "json", "webhook"]
    assert len(set(keys)) == 3
    assert open_receivers(Alerts()) == []


def test_public_url_and_masking() -> None:
    assert public_url(Alerts(), Api()) == "http://127.0.0.1:8000"
    assert public_url(Alerts(public_url="https://dfp/"), Api()) == "https://dfp"
    assert masked("bad token abc%41def for abcAdef", "x://abc%41def@h") == "bad token **** for ****"
