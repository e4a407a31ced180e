"""`python -m api`: serves REST, metrics and dashboard."""

from __future__ import annotations

import contextlib
import sys
import threading

import click
import structlog

from api.application import create_app
from api.server import require_token, serve
from datafingerprint.adapters.lag import KafkaLagReader
from datafingerprint.adapters.process import run_service
from datafingerprint.adapters.scan_runner import ScanRunner
from datafingerprint.adapters.state import SqlStateStore
from datafingerprint.config import Settings


def body(settings: Settings, log: structlog.stdlib.BoundLogger, _stop: threading.Event) -> None:
    """One run; uvicorn hears the signals itself, and hands them on when it has ended."""
    require_token(settings.api)
    with (
        contextlib.closing(SqlStateStore(settings.state.url.get_secret_value())) as store,
        contextlib.closing(KafkaLagReader(settings.kafka)) as lag_reader,
        contextlib.closing(ScanRunner(settings, store, log)) as scans,
    ):
        token = settings.api.token.get_secret_value()
        app = create_app(store, lag_reader, token=token, scans=scans, heartbeat_s=settings.cdc.heartbeat_s)
        serve(app, settings.api, log)


@click.command(help="Serves REST, metrics and the dashboard over what the fingerprinter stored, until it is stopped.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def main(config: str | None) -> None:
    """Runs the service and exits with its status."""
    sys.exit(run_service("api", body, config))


if __name__ == "__main__":
    main()
