"""`python -m services.fingerprinter`: keeps the sums of both sides and judges every lake commit."""

from __future__ import annotations

import contextlib
import sys
import threading

import click
import structlog

from datafingerprint.adapters.kafka_epoch_reader import KafkaEpochReader
from datafingerprint.adapters.kafka_lake_commits import KafkaLakeCommitReader
from datafingerprint.adapters.lake_view import IcebergLakeView
from datafingerprint.adapters.process import run_service
from datafingerprint.adapters.scratch import TemporaryScratch
from datafingerprint.adapters.state import SqlStateStore
from datafingerprint.config import Settings
from datafingerprint.digests import digester
from services.fingerprinter.fingerprinter import Fingerprinter

GROUP = "dfp-fingerprinter"


def body(settings: Settings, log: structlog.stdlib.BoundLogger, stop: threading.Event) -> None:
    """One run, from what is stored to the end or a failure."""
    log.info("rows are digested", by=digester())
    with (
        contextlib.closing(SqlStateStore(settings.state.url.get_secret_value())) as store,
        contextlib.closing(KafkaEpochReader(settings.kafka, GROUP)) as reader,
        contextlib.closing(KafkaLakeCommitReader(settings.kafka, GROUP)) as commits,
        contextlib.closing(IcebergLakeView(settings)) as view,
    ):
        scratch = TemporaryScratch(settings.scratch.directory, stop.is_set)
        Fingerprinter(reader, commits, view, scratch, store, settings.fingerprinter, log, alive=stop.is_set).run(stop)


@click.command(help="Keeps the fingerprints of source and lake and judges every lake commit, until it is stopped.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def main(config: str | None) -> None:
    """Runs the fingerprinter and exits with its status."""
    sys.exit(run_service("fingerprinter", body, config))


if __name__ == "__main__":
    main()
