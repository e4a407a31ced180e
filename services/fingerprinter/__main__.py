"""`python -m services.fingerprinter`: keeps both sides' sums and judges every lake commit."""

from __future__ import annotations

import contextlib
import sys
import threading
import time

import click
import structlog

from datafingerprint import consumer_groups
from datafingerprint.adapters.iceberg.connection import require_bucket
from datafingerprint.adapters.iceberg.view import IcebergLakeView
from datafingerprint.adapters.kafka.epoch_reader import KafkaEpochReader
from datafingerprint.adapters.kafka.lake_commits import KafkaLakeCommitReader
from datafingerprint.adapters.kafka.requests import ask
from datafingerprint.adapters.runtime.process import run_service
from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.config import Settings
from datafingerprint.digests import digester
from datafingerprint.errors import Unavailable
from datafingerprint.history import HistoryRules
from datafingerprint.resync import ResyncRequest
from services.fingerprinter.fingerprinter import Fingerprinter


def body(settings: Settings, log: structlog.stdlib.BoundLogger, stop: threading.Event) -> None:
    """One run, from what is stored to the end or a failure."""
    log.info("rows are digested", by=digester())
    with contextlib.suppress(Unavailable):  # the source's sums go on while the store is away
        require_bucket(settings.s3)
    group = consumer_groups.consumer_group(settings.kafka.prefix, consumer_groups.FINGERPRINTER)
    chosen = settings.fingerprinter
    kept = HistoryRules(chosen.history_days, chosen.history_every_s, chosen.history_points_max)
    with (
        contextlib.closing(SqlStateStore(settings.state.database.get_secret_value(), history=kept)) as store,
        contextlib.closing(KafkaEpochReader(settings.kafka, group, passes_holes=True)) as reader,
        contextlib.closing(KafkaLakeCommitReader(settings.kafka, group)) as commits,
        contextlib.closing(IcebergLakeView(settings)) as view,
    ):
        scratch = TemporaryScratch(settings.scratch.directory, stop.is_set)
        fingerprinter = Fingerprinter(
            reader,
            commits,
            view,
            scratch,
            store,
            settings.fingerprinter,
            log,
            alive=stop.is_set,
            ask=lambda table: ask(settings.kafka, ResyncRequest(table, None, time.time())),
            sketches=store,
            cells_of=settings.sketch_cells,
        )
        fingerprinter.run(stop)


@click.command(help="Keeps the fingerprints of source and lake and judges every lake commit, until it is stopped.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def main(config: str | None) -> None:
    """Runs the fingerprinter and exits with its status."""
    sys.exit(run_service("fingerprinter", body, config))


if __name__ == "__main__":
    main()
