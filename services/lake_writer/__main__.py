"""`python -m services.lake_writer`: writes epochs from Kafka into Iceberg tables."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

import click
import structlog

from datafingerprint import consumer_groups
from datafingerprint.adapters.iceberg.lake import IcebergLake
from datafingerprint.adapters.iceberg.objects_below import IcebergLakeObjects
from datafingerprint.adapters.kafka.epoch_reader import KafkaEpochReader
from datafingerprint.adapters.kafka.lake_commits import KafkaLakeCommitLog
from datafingerprint.adapters.kafka.requests import ask
from datafingerprint.adapters.runtime.process import run_service
from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.config import Settings
from datafingerprint.resync import ResyncRequest
from services.lake_writer.orphan_cleaner import OrphanCleaner
from services.lake_writer.writer import LakeWriter


def body(settings: Settings, log: structlog.stdlib.BoundLogger, stop: threading.Event) -> None:
    """One run, from reading the lake's epoch to the end or a failure."""
    group = consumer_groups.consumer_group(settings.kafka.prefix, consumer_groups.LAKE_WRITER)
    with (
        contextlib.closing(IcebergLake(settings)) as lake,
        contextlib.closing(KafkaEpochReader(settings.kafka, group, passes_holes=True)) as reader,
        contextlib.closing(KafkaLakeCommitLog(settings.kafka)) as commits,
    ):
        lake.preflight()
        with _orphans_cleaned(settings, log):
            scratch = TemporaryScratch(settings.scratch.directory, stop.is_set)
            writer = LakeWriter(
                reader,
                lake,
                commits,
                settings.lake,
                log,
                scratch,
                alive=stop.is_set,
                ask=lambda table: ask(settings.kafka, ResyncRequest(table, None, time.time())),
            )
            writer.run(stop)


@contextlib.contextmanager
def _orphans_cleaned(settings: Settings, log: structlog.stdlib.BoundLogger) -> Iterator[None]:
    """Deletes old files in a thread, with connections of its own."""
    ended = threading.Event()
    with contextlib.closing(IcebergLakeObjects(settings)) as objects:
        thread = threading.Thread(target=OrphanCleaner(objects, settings.lake, log).run, args=(ended,), name="orphans")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


@click.command(help="Writes whole epochs from Kafka into the Iceberg tables of the lake, until it is stopped.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def main(config: str | None) -> None:
    """Runs the lake writer and exits with its status."""
    sys.exit(run_service("lake_writer", body, config))


if __name__ == "__main__":
    main()
