"""`python -m services.lake_writer`: carries epochs from Kafka into Iceberg tables."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator

import click
import structlog

from datafingerprint.adapters.kafka_epoch_reader import KafkaEpochReader
from datafingerprint.adapters.kafka_lake_commits import KafkaLakeCommitLog
from datafingerprint.adapters.lake import IcebergLake
from datafingerprint.adapters.lake_garbage import LakeGarbage
from datafingerprint.adapters.process import run_service
from datafingerprint.adapters.scratch import TemporaryScratch
from datafingerprint.config import Settings
from services.lake_writer.sweeper import Sweeper
from services.lake_writer.writer import LakeWriter

GROUP = "dfp-lake-writer"


def body(settings: Settings, log: structlog.stdlib.BoundLogger, stop: threading.Event) -> None:
    """One run, from finding where the lake stands to the end or a failure."""
    with (
        contextlib.closing(IcebergLake(settings)) as lake,
        contextlib.closing(KafkaEpochReader(settings.kafka, GROUP)) as reader,
        contextlib.closing(KafkaLakeCommitLog(settings.kafka)) as commits,
    ):
        lake.preflight()
        with _sweeping(settings, log):
            scratch = TemporaryScratch(settings.scratch.directory, stop.is_set)
            LakeWriter(reader, lake, commits, settings.lake, log, scratch, alive=stop.is_set).run(stop)


@contextlib.contextmanager
def _sweeping(settings: Settings, log: structlog.stdlib.BoundLogger) -> Iterator[None]:
    """Removes old files beside the writing, by connections of its own."""
    ended = threading.Event()
    with contextlib.closing(LakeGarbage(settings)) as garbage:
        thread = threading.Thread(target=Sweeper(garbage, settings.lake, log).run, args=(ended,), name="sweeper")
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
