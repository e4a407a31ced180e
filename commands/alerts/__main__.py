"""`datafingerprint alerts`: sends a test to every receiver, or lists receivers and messages."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import click

from datafingerprint.adapters.alerts.receivers import open_receivers, public_url
from datafingerprint.adapters.runtime import rest
from datafingerprint.adapters.runtime.settings import read_settings
from datafingerprint.alerts import content
from datafingerprint.errors import ConfigError, DataFingerprintError
from datafingerprint.exit_statuses import ExitStatus
from datafingerprint.incidents import NoticeKind
from datafingerprint.ports.incidents import Notice
from datafingerprint.ports.receivers import DeliveryError, Receiver

_config = click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")


@click.group(help="Sends a test to the receivers of alerts, or lists them.")
def main() -> None:
    """The group of both commands."""


@main.command(help="Sends a test message to every receiver, now. Exit status 1: one did not take it.")
@_config
def test(config: str | None) -> None:
    """Needs no service: the receivers of the settings are used as the notifier uses them."""
    try:
        settings = read_settings(config)
        receivers = open_receivers(settings.alerts)
        if not receivers:
            raise ConfigError("there is no receiver", remedy="set alerts.urls or alerts.webhook")
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(ExitStatus.REFUSED)
    message = content(
        uuid.uuid4().hex, [Notice(0, time.time(), NoticeKind.TEST, {})], public_url(settings.alerts, settings.api)
    )

    def send(receiver: Receiver) -> str:
        try:
            receiver.send(message)
        except DeliveryError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(len(receivers)) as pool:
        errors = list(pool.map(send, receivers))
    for receiver, reason in zip(receivers, errors, strict=True):
        click.echo(f"{receiver.key}  {receiver.address}  {reason or 'sent'}")
    sys.exit(ExitStatus.FAILED if any(errors) else ExitStatus.OK)


@main.command(name="list", help="Lists the receivers of the notifier, and its last messages.")
@_config
@click.option("--json", "as_json", is_flag=True, help="Print the answer of /v1/alerts unchanged.")
def list_alerts(config: str | None, *, as_json: bool) -> None:
    """Prints what the REST service answers."""
    try:
        answer = rest.get(read_settings(config).api, "/v1/alerts")
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(ExitStatus.REFUSED)
    click.echo(json.dumps(answer, indent=2) if as_json else "\n".join(lines(answer)))


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """Receivers, then messages, newest first."""
    if not answer["receivers"]:
        yield "no receiver: set alerts.urls or alerts.webhook, and restart the notifier"
    for receiver in answer["receivers"]:
        yield _line(
            receiver["receiver"],
            receiver["address"],
            receiver["state"],
            f"{receiver['waiting']} waiting" if receiver["waiting"] else "",
            f"since {receiver['failing_since']}" if receiver["failing_since"] else "",
            receiver["error"] or "",
        )
    for message in answer["messages"]:
        state = f"sent {message['sent_at']}" if message["sent_at"] else "not sent"
        attempts = f"{message['attempts']} attempts" if message["attempts"] != 1 else ""
        yield _line(message["created_at"], message["receiver"], state, attempts, message["error"] or "")


def _line(*parts: str) -> str:
    present: Sequence[str] = [part for part in parts if part]
    return "  ".join(present)


if __name__ == "__main__":
    main()
