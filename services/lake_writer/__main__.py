"""`python -m services.lake_writer`: carries epochs from Kafka into Iceberg tables."""

from __future__ import annotations

import contextlib
import sys
import threading

import click
import structlog

from datafingerprint.adapters.kafka_epoch_reader import KafkaEpochReader
from datafingerprint.adapters.kafka_lake_commits import KafkaLakeCommitLog
from datafingerprint.adapters.lake import IcebergLake
from datafingerprint.adapters.process import run_service
from datafingerprint.config import Settings
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
        LakeWriter(reader, lake, commits, settings.lake, log).run(stop)


@click.command(help="Writes whole epochs from Kafka into the Iceberg tables of the lake, until it is stopped.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def main(config: str | None) -> None:
    """Runs the lake writer and exits with its status."""
    sys.exit(run_service("lake_writer", body, config))


if __name__ == "__main__":
    main()
