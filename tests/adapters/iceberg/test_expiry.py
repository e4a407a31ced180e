"""Old snapshots expire with later commits, and the kept ones stay readable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from datafingerprint.adapters.iceberg.connection import LakeConnection, connect
from datafingerprint.adapters.iceberg.lake import IcebergLake
from datafingerprint.column_types import column
from datafingerprint.config import Lake, Settings
from datafingerprint.epochs import SourcePosition
from datafingerprint.ports.lake import Stamp
from datafingerprint.schema import TableSchema

KEPT = 3
TABLE = TableSchema("s", "t", (column("id", "int(11)", nullable=False, charset=None),), ("id",), ())


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[LakeConnection]:
    opened = connect(f"sqlite:///{tmp_path}/catalog.db", f"file://{tmp_path}/lake", "a folder")
    yield opened
    opened.close()


def commit(lake: IcebergLake, epoch: int) -> int:
    stamp = Stamp("stream", epoch, SourcePosition(f"0-1-{epoch}", "binlog.000001", epoch))
    table = lake.table(TABLE)
    return table.commit(table.write({"-": pa.table([[epoch]], schema=TABLE.arrow)}, stamp), [], stamp)


def test_only_the_newest_snapshots_and_those_with_a_name_are_kept_and_can_be_read(connection: LakeConnection) -> None:
    lake = IcebergLake(Settings(lake=Lake(snapshots_kept=KEPT)), connection)
    made = [commit(lake, 1)]
    loaded = connection.catalog.load_table(("s", "t"))
    loaded.manage_snapshots().create_tag(made[0], "named").commit()
    made += [commit(lake, epoch) for epoch in range(2, 9)]
    loaded = connection.catalog.load_table(("s", "t"))
    kept = {snapshot.snapshot_id for snapshot in loaded.metadata.snapshots}
    assert kept == {made[0], *made[-KEPT:]}
    for epoch, snapshot_id in enumerate(made, start=1):
        if snapshot_id in kept:
            rows = loaded.scan(snapshot_id=snapshot_id).to_arrow()
            assert sorted(rows.column("id").to_pylist()) == list(range(1, epoch + 1))
    assert lake.table(TABLE).stamp == Stamp("stream", 8, SourcePosition("0-1-8", "binlog.000001", 8))
