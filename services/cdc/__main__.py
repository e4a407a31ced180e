"""`python -m services.cdc`: captures the source's changes into Kafka."""

from __future__ import annotations

import contextlib
import sys
import threading
from contextlib import AbstractContextManager

import click
import structlog

from datafingerprint.adapters.kafka.epoch_log import KafkaEpochLog
from datafingerprint.adapters.kafka.requests import KafkaRequests
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.adapters.runtime.process import run_service
from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.adapters.runtime.settings_file import SettingsFile
from datafingerprint.config import Settings
from datafingerprint.epoch_chain import KnownEpoch
from datafingerprint.errors import DataFingerprintError
from datafingerprint.recovery import ALL_TABLES
from services.cdc.capture import Capture
from services.cdc.reread_audits import AuditQueue, RereadAudits

_SUMS_TIMEOUT_S = 60.0
"""How long `--once` waits until the running sums have the rows that it read, before it requests their audit."""


class CaptureProcess:
    """The capture runs of one process.

    Each opens the epoch log, and lasts until it ends or fails.

    Later runs do not start a snapshot again. They share the epoch log, which knows what earlier runs published, and
    the choice of tables.

    Args:
        config: The settings file, as given on the command line.
        resnapshot: Tables to read again, each as a whole (None) or one partition of it.
        once: Whether to end when every table is read.
        audit: Whether to request an audit of the tables that are read again.
    """

    def __init__(
        self, config: str | None, resnapshot: dict[str, str | None], *, once: bool, audit: bool = True
    ) -> None:
        self._resnapshot = resnapshot
        self._to_audit = dict(resnapshot) if audit else {}
        self._once = once
        self._audits: RereadAudits | None = None
        self._config = config
        self._epoch_log: KafkaEpochLog | None = None
        self._choices: SettingsFile | None = None

    def run(self, settings: Settings, log: structlog.stdlib.BoundLogger, stop: threading.Event) -> None:
        """One run."""
        self._epoch_log = self._epoch_log or KafkaEpochLog(settings.kafka, lambda: _known_epochs(settings, log))
        self._choices = choices = self._choices or SettingsFile(self._config, settings, log)
        with (
            contextlib.closing(self._epoch_log) as epoch_log,
            contextlib.closing(KafkaRequests(settings.kafka)) as requests,
        ):
            scratch = TemporaryScratch(settings.scratch.directory)
            source = BinlogSource(choices.settings, log, lambda: epoch_log.stream_id)
            self._audits = self._audits or RereadAudits(self._to_audit, lambda: _audit_queue(settings), log)
            capture = Capture(
                source,
                epoch_log,
                requests,
                settings.cdc,
                log,
                scratch=scratch,
                stops_at_alter=choices.settings.source.on_alter == "stop",
                choices=choices,
                note_read=self._audits.note_read,
            )
            capture.run(stop, self._resnapshot, once=self._once)
        if self._once:
            self._audits.finish(0.0 if stop.is_set() else _SUMS_TIMEOUT_S)
            stop.set()

    def finish(self) -> None:
        """Requests the remaining audits."""
        if self._audits is not None:
            self._audits.finish(0.0)


def _known_epochs(settings: Settings, log: structlog.stdlib.BoundLogger) -> list[KnownEpoch]:
    """The epoch that the state store has reached.

    Capture continues without a store that cannot be read.
    """
    # Imported here: a new stream needs no state store, see below.
    from datafingerprint.adapters.state.known_epoch import known_epoch  # noqa: PLC0415 - see above

    try:
        known = known_epoch(settings.state.database.get_secret_value())
    except DataFingerprintError as error:
        log.warning("the state store cannot be asked whether epochs were lost", reason=str(error))
        return []
    return [] if known is None else [known]


def _audit_queue(settings: Settings) -> AbstractContextManager[AuditQueue]:
    # Imported here: the state store's library takes memory that capture otherwise does not need.
    from datafingerprint.adapters.state.store import SqlStateStore  # noqa: PLC0415 - see above

    return contextlib.closing(SqlStateStore(settings.state.url.get_secret_value()))


@click.command(help="Captures committed changes from the source's binlog into Kafka, in epochs, until it is stopped.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
@click.option(
    "--resnapshot",
    metavar="TABLE",
    multiple=True,
    help="Read this table (schema.table) again as a whole, with its present definition. May be repeated. "
    "'*' reads all tables again, and skips the binlog up to then, with anything in it that cannot be followed.",
)
@click.option("--partition", metavar="NAME", help="Read only this partition of the one table given by --resnapshot.")
@click.option("--once", is_flag=True, help="End when every table is read, instead of following the binlog.")
@click.option("--no-audit", is_flag=True, help="Do not request an audit of the tables that are read again.")
def main(config: str | None, resnapshot: tuple[str, ...], partition: str | None, *, once: bool, no_audit: bool) -> None:
    """Runs capture and exits with its status.

    A capture that is already running is fenced off and stops.
    """
    if partition is not None and (len(resnapshot) != 1 or ALL_TABLES in resnapshot):
        raise click.UsageError("--partition needs exactly one --resnapshot TABLE")
    process = CaptureProcess(config, dict.fromkeys(resnapshot, partition), once=once, audit=not no_audit)
    status = run_service("cdc", process.run, config)
    process.finish()
    sys.exit(status)


if __name__ == "__main__":
    main()
