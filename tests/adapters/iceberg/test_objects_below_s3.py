"""The bucket stays bounded over many commits, and kept snapshots stay readable."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import closing

import pyarrow as pa
import pytest
import structlog

from datafingerprint.adapters.iceberg.connection import LakeConnection, open_connection, s3_client
from datafingerprint.adapters.iceberg.lake import IcebergLake
from datafingerprint.adapters.iceberg.objects_below import IcebergLakeObjects
from datafingerprint.column_types import column
from datafingerprint.config import Lake, Settings
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import TableDamageError
from datafingerprint.ports.lake import DataFile, Stamp
from datafingerprint.schema import TableSchema
from services.lake_writer.orphan_cleaner import OrphanCleaner

pytestmark = pytest.mark.live

KEPT = 4
COMMITS = 80
OBJECTS_MAX = 60
"""Every commit makes four objects: 20 previous metadata files are kept, four snapshots, and the last few commits'."""

GRACE_S = 1.0
NAME = ("s", "t")
TABLE = TableSchema("s", "t", (column("id", "int(11)", nullable=False, charset=None),), ("id",), ())
FOREIGN = ["data/notes.txt", "data/00000-0-cafe.parquet", "metadata/statistics.puffin"]


@pytest.fixture
def settings(stack_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("garbage")
    lake = Lake(catalog=f"sqlite:///{folder}/catalog.db", path=folder.name, snapshots_kept=KEPT, grace_s=GRACE_S)
    return stack_settings.model_copy(update={"lake": lake})


@pytest.fixture
def connection(settings: Settings) -> Iterator[LakeConnection]:
    with closing(open_connection(settings)) as opened:
        yield opened


def keys(settings: Settings) -> set[str]:
    prefix = f"{settings.lake.path}/"
    with closing(s3_client(settings.s3)) as client:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=settings.s3.bucket, Prefix=prefix)
        return {item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", [])}


def stamp(epoch: int) -> Stamp:
    return Stamp("stream", epoch, SourcePosition(f"0-1-{epoch}", "binlog.000001", epoch))


def replace_all(lake: IcebergLake, epoch: int) -> None:
    """One commit that leaves a single live file, and the earlier file as an orphan."""
    table = lake.table(TABLE)
    before: Sequence[DataFile] = table.files()
    table.commit(table.write({"-": pa.table([[epoch]], schema=TABLE.arrow)}, stamp(epoch)), before, stamp(epoch))


def test_the_bucket_stays_bounded_and_kept_snapshots_stay_readable(
    settings: Settings, connection: LakeConnection
) -> None:
    lake = IcebergLake(settings, connection)
    replace_all(lake, 1)
    folder = keys(settings).pop().partition("/data/")[0].partition("/metadata/")[0]
    written = lake.table(TABLE).write({"-": pa.table([[-1]], schema=TABLE.arrow)}, stamp(2))[0]
    killed = written.file_path.partition(f"/{settings.lake.path}/")[2]
    with closing(s3_client(settings.s3)) as client:
        for name in FOREIGN:
            client.put_object(Bucket=settings.s3.bucket, Key=f"{settings.lake.path}/{folder}/{name}", Body=b"theirs")
    deadline = time.monotonic() + 60
    epoch = 1
    with closing(IcebergLakeObjects(settings)) as garbage:
        cleaner = OrphanCleaner(garbage, settings.lake, structlog.stdlib.get_logger())
        assert NAME in garbage.versions()
        left = keys(settings)
        while epoch < COMMITS or killed in left or len(left) > OBJECTS_MAX:
            assert time.monotonic() < deadline, f"{len(left)} objects are left"
            epoch += 1
            replace_all(lake, epoch)
            if epoch % 10 == 0 or epoch > COMMITS:
                cleaner.sweep(NAME)
                left = keys(settings)
            if epoch > COMMITS:
                time.sleep(GRACE_S)  # files go by their age, and only once a later commit was made
    assert {f"{folder}/{name}" for name in FOREIGN} <= left
    loaded = connection.catalog.load_table(NAME)
    assert len(loaded.metadata.snapshots) == KEPT
    for number, snapshot in enumerate(sorted(loaded.metadata.snapshots, key=lambda snapshot: snapshot.timestamp_ms)):
        rows = loaded.scan(snapshot_id=snapshot.snapshot_id).to_arrow()
        assert rows.column("id").to_pylist() == [epoch - KEPT + 1 + number]


def test_an_uncommitted_file_outlives_every_sweep(settings: Settings, connection: LakeConnection) -> None:
    lake = IcebergLake(settings, connection)
    replace_all(lake, 1)
    table = lake.table(TABLE)
    written = table.write({"-": pa.table([[2]], schema=TABLE.arrow)}, stamp(2))
    now = iter(range(0, 10_000, 100))
    with closing(IcebergLakeObjects(settings)) as garbage:
        cleaner = OrphanCleaner(garbage, settings.lake, structlog.stdlib.get_logger(), clock=lambda: float(next(now)))
        assert [cleaner.sweep(NAME).files for _ in range(3)] == [0, 0, 0]
    table.commit(written, table.files(), stamp(2))
    assert connection.catalog.load_table(NAME).scan().to_arrow().column("id").to_pylist() == [2]


@pytest.mark.parametrize("content", [None, b"garbage"], ids=["deleted", "garbage"])
def test_metadata_that_is_gone_or_garbage_names_its_object(
    settings: Settings, connection: LakeConnection, content: bytes | None
) -> None:
    replace_all(IcebergLake(settings, connection), 1)
    loaded = connection.catalog.load_table(NAME)
    snapshot = loaded.current_snapshot()
    assert snapshot is not None
    manifest = snapshot.manifests(loaded.io)[0].manifest_path
    for path in (manifest, snapshot.manifest_list, loaded.metadata_location):
        key = path.removeprefix(f"s3://{settings.s3.bucket}/")
        with closing(s3_client(settings.s3)) as client, closing(IcebergLakeObjects(settings)) as garbage:
            if content is None:
                client.delete_object(Bucket=settings.s3.bucket, Key=key)
            else:
                client.put_object(Bucket=settings.s3.bucket, Key=key, Body=content)
            with pytest.raises(TableDamageError, match=f"object {re.escape(path)} of the lake's metadata"):
                garbage.references(NAME)
