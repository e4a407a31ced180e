"""`datafingerprint notify`: opens and closes incidents, and sends alerts."""

from __future__ import annotations

import contextlib
import sys
import threading

import click
import structlog

from datafingerprint.adapters.alerts.receivers import open_receivers, public_url
from datafingerprint.adapters.kafka.services import KafkaServices
from datafingerprint.adapters.runtime.process import run_service
from datafingerprint.adapters.runtime.process_names import process_name
from datafingerprint.adapters.state.incidents import SqlIncidentStore
from datafingerprint.config import Settings
from services.notifier.delivery import couriers
from services.notifier.notifier import Notifier, reachable_limits

OWNER = process_name()
"""The name of this process among the notifiers."""


def body(settings: Settings, log: structlog.stdlib.BoundLogger, stop: threading.Event) -> None:
    """One run, from what is stored."""
    alerts = reachable_limits(settings)
    receivers = open_receivers(alerts)
    log.info("receivers", addresses=[receiver.address for receiver in receivers])
    with (
        contextlib.closing(SqlIncidentStore(settings.state.database.get_secret_value())) as store,
        contextlib.closing(KafkaServices(settings.kafka)) as services,
    ):
        services.start()
        url = public_url(alerts, settings.api)
        Notifier(store, services, couriers(receivers, alerts.timeout_s), alerts, url, OWNER, log).serve(stop)


@click.command(help="Opens and closes incidents, and sends alerts about them, until it is stopped.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def main(config: str | None) -> None:
    """Runs the notifier and exits with its status."""
    sys.exit(run_service("notifier", body, config))


if __name__ == "__main__":
    main()
