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
from datafingerprint.adapters.process import run_service
from datafingerprint.adapters.scratch import TemporaryScratch
from datafingerprint.adapters.settings_file import SettingsFile
from datafingerprint.config import Settings
from datafingerprint.remedies import ALL_TABLES
from services.cdc.capture import Capture


class Capturing:
    """The runs of one process: from opening the epoch log to the end or a failure each.

    Later runs do not begin a table anew. They have the same epoch log, which knows what earlier ones published, and
    the choice of tables that was in force then.

    Args:
        config: The settings file, as it was named.
        resnapshot: Tables to read again, each as a whole (None) or one partition of it.
        once: Whether to end when every table is read.
    """

    def __init__(self, config: str | None, resnapshot: dict[str, str | None], *, once: bool) -> None:
        self._resnapshot = resnapshot
        self._once = once
        self._config = config
        self._epoch_log: KafkaEpochLog | None = None
        self._choices: SettingsFile | None = None

    def run(self, settings: Settings, log: structlog.stdlib.BoundLogger, stop: threading.Event) -> None:
        """One run."""
        self._epoch_log = self._epoch_log or KafkaEpochLog(settings.kafka)
        self._choices = choices = self._choices or SettingsFile(self._config, settings, log)
        with (
            contextlib.closing(self._epoch_log) as epoch_log,
            contextlib.closing(KafkaRequests(settings.kafka)) as requests,
        ):
            scratch, source = TemporaryScratch(settings.scratch.directory), BinlogSource(choices.settings, log)
            capture = Capture(source, epoch_log, requests, settings.cdc, log, scratch=scratch, choices=choices)
            capture.run(stop, self._resnapshot, once=self._once)
        if self._once:
            stop.set()


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
    capturing = Capturing(config, dict.fromkeys(resnapshot, partition), once=once)
    sys.exit(run_service("cdc", capturing.run, config))


if __name__ == "__main__":
    main()
