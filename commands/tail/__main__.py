"""`datafingerprint tail TABLE`: prints changes as they are published, and only reads."""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import sys
import threading
from collections.abc import Iterator

import click

from commands.tail.change import Change, changes_of, document, text
from datafingerprint.adapters.kafka.definitions import read_definitions
from datafingerprint.adapters.kafka.epoch_reader import KafkaEpochReader
from datafingerprint.adapters.kafka.epoch_records import end_of_stream
from datafingerprint.adapters.runtime.settings import read_settings
from datafingerprint.captured import not_captured_error
from datafingerprint.config import Settings
from datafingerprint.errors import ConfigError, DataFingerprintError, Unavailable
from datafingerprint.exit_statuses import ExitStatus
from datafingerprint.partitions import partitioning, required_values
from datafingerprint.ports.stream import EpochRows
from datafingerprint.wire import Topics

POLL_S = 0.5
AGAIN_S = 1.0


@click.command(help="Prints the changes of TABLE as they are published, until Ctrl-C.")
@click.argument("table")
@click.option("--partition", metavar="NAME", help="Only changes that touch this partition, such as date_year=2031.")
@click.option("--from-epoch", type=click.IntRange(min=1), help="Begin with this epoch; with the next one by default.")
@click.option("--count", type=click.IntRange(min=1), help="End after this many changes.")
@click.option("--json", "as_json", is_flag=True, help="Print each change as one line of JSON.")
@click.option("--config", metavar="FILE", help="Settings file; datafingerprint.toml by default.")
def main(
    table: str, partition: str | None, from_epoch: int | None, count: int | None, config: str | None, *, as_json: bool
) -> None:
    """Exits with 0 after a signal or `--count` changes, 2 when it is refused."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        changes = published(read_settings(config), table, partition, from_epoch, stop)
        for change in itertools.islice(changes, count):
            click.echo(json.dumps(document(change), ensure_ascii=False) if as_json else text(change))
            if stop.is_set():
                break
    except DataFingerprintError as error:
        click.echo(f"datafingerprint: {error}", err=True)
        sys.exit(ExitStatus.REFUSED)


def published(
    settings: Settings, table: str, partition: str | None, from_epoch: int | None, stop: threading.Event
) -> Iterator[Change]:
    """Changes as they are published, from the given or the next epoch, without end.

    Raises:
        ConfigError: The table is not captured, has no such partition, or nothing was published yet.
        WireError: The epoch is gone, or a message cannot be read.
        Unavailable: The broker is away at the start. Later it is awaited.
    """
    with contextlib.closing(KafkaEpochReader(settings.kafka, None, only=frozenset({table}))) as reader:
        for epoch in _epochs(reader, settings, table, partition, from_epoch, stop):
            yield from changes_of(epoch.epoch, [changes for _, changes in epoch.changes], partition)


def _epochs(
    reader: KafkaEpochReader,
    settings: Settings,
    table: str,
    partition: str | None,
    from_epoch: int | None,
    stop: threading.Event,
) -> Iterator[EpochRows]:
    end = end_of_stream(settings.kafka)
    if end is None:
        raise ConfigError(f"nothing is published under the prefix {settings.kafka.prefix} yet", remedy="start capture")
    offset, last = end
    if table not in last.versions:
        raise not_captured_error(table, last.versions)
    if partition is not None:
        topic = Topics(settings.kafka.prefix).schemas
        definition = read_definitions(settings.kafka, topic)[last.versions[table]]
        required_values(definition, partitioning(definition), partition)
    at = last.mark
    if from_epoch is not None and from_epoch <= last.number:
        first = reader.read_again(from_epoch, offset)
        yield first
        at, offset = first.epoch.mark, first.epochs_offset
    is_lost = True
    while not stop.is_set():
        try:
            if is_lost:
                reader.seek(offset, at)
                is_lost = False
            epoch = reader.read(POLL_S)
        except Unavailable as error:
            click.echo(f"datafingerprint: {error}: trying again", err=True)
            is_lost = True
            stop.wait(AGAIN_S)
            continue
        if epoch is None:
            continue
        at, offset = epoch.epoch.mark, epoch.epochs_offset
        if from_epoch is None or epoch.epoch.number >= from_epoch:
            yield epoch


if __name__ == "__main__":
    main()
