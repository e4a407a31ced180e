"""`python -m services.cdc`: captures the source's changes into Kafka."""

from __future__ import annotations

import contextlib
import sys
import threading

import click
import structlog

from datafingerprint.adapters.kafka_epoch_log import KafkaEpochLog
from datafingerprint.adapters.kafka_requests import KafkaRequests
from datafingerprint.adapters.mysql_source import BinlogSource
from datafingerprint.adapters.process import Body, run_service
from datafingerprint.adapters.scratch import TemporaryScratch
from datafingerprint.config import Settings
from datafingerprint.remedies import ALL_TABLES
from services.cdc.capture import Capture


def body(resnapshot: dict[str, str | None], *, once: bool) -> Body:
    """One run, from opening the epoch log to the end or a failure; later runs do not begin a table anew."""

    def run(settings: Settings, log: structlog.stdlib.BoundLogger, stop: threading.Event) -> None:
        with (
            contextlib.closing(KafkaEpochLog(settings.kafka)) as epoch_log,
            contextlib.closing(KafkaRequests(settings.kafka)) as requests,
        ):
            scratch = TemporaryScratch(settings.scratch.directory)
            capture = Capture(BinlogSource(settings, log), epoch_log, requests, settings.cdc, log, scratch=scratch)
            capture.run(stop, resnapshot, once=once)
        if once:
            stop.set()

    return run


@click.command(help="Captures committed changes from the source's binlog into Kafka, in epochs, until it is stopped.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
@click.option(
    "--resnapshot",
    metavar="TABLE",
    multiple=True,
    help="Read this table (schema.table) again from the beginning, with its present definition; may be repeated. "
    "'*' reads all tables again, and goes on behind whatever could not be followed in the binlog.",
)
@click.option("--partition", metavar="NAME", help="Read only this partition of the one table that is read again.")
@click.option("--once", is_flag=True, help="End when every table is read, instead of following the binlog.")
def main(config: str | None, resnapshot: tuple[str, ...], partition: str | None, *, once: bool) -> None:
    """Runs capture and exits with its status; a capture that runs already is fenced off, and stops."""
    if partition is not None and (len(resnapshot) != 1 or ALL_TABLES in resnapshot):
        raise click.UsageError("--partition needs --resnapshot with the one table that it is of")
    sys.exit(run_service("cdc", body(dict.fromkeys(resnapshot, partition), once=once), config))


if __name__ == "__main__":
    main()
