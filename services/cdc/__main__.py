"""`python -m services.cdc`: captures the source's changes into Kafka."""

from __future__ import annotations

import contextlib
import sys
import threading

import click
import structlog

from datafingerprint.adapters.kafka_epoch_log import KafkaEpochLog
from datafingerprint.adapters.mysql_source import BinlogSource
from datafingerprint.adapters.process import run_service
from datafingerprint.config import Settings
from services.cdc.capture import Capture


def body(settings: Settings, log: structlog.stdlib.BoundLogger, stop: threading.Event) -> None:
    """One run, from opening the epoch log to the end or a failure."""
    with contextlib.closing(KafkaEpochLog(settings.kafka)) as epoch_log:
        Capture(BinlogSource(settings), epoch_log, settings.cdc, log).run(stop)


@click.command(help="Captures committed changes from the source's binlog into Kafka, in epochs, until it is stopped.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def main(config: str | None) -> None:
    """Runs capture and exits with its status."""
    sys.exit(run_service("cdc", body, config))


if __name__ == "__main__":
    main()
