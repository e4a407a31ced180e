"""The lake on a real S3 server: the same rows, correct ETags, and errors with a remedy."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from importlib import metadata
from pathlib import Path

import duckdb
import duckdb_extension_httpfs
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mypy_boto3_s3 import S3Client
from pydantic import SecretStr

from datafingerprint.adapters.iceberg.lake import IcebergLake, IcebergLakeTable
from datafingerprint.adapters.iceberg.objects import HEADS_MAX
from datafingerprint.adapters.iceberg.view import IcebergLakeView
from datafingerprint.column_types import column
from datafingerprint.config import Settings
from datafingerprint.epochs import SourcePosition
from datafingerprint.errors import ConfigError, ConflictError, LakeError, Unavailable
from datafingerprint.ports.lake import Stamp
from datafingerprint.schema import TableSchema
from deploy.embedded.stack import EmbeddedStack

pytestmark = pytest.mark.live

TABLE = TableSchema(
    "ootp",
    "games",
    tuple(
        column(name, kind, nullable=True, charset="utf8mb4")
        for name, kind in [("id", "int(11)"), ("date", "date"), ("name", "text")]
    ),
    ("id",),
    ("year(date)", "name"),
)
ODD = "ž/é %=?#&+ 'x'"
ROWS = pa.Table.from_pylist(
    [
        {"id": 1, "date": dt.date(2031, 4, 2), "name": ODD},
        {"id": 2, "date": dt.date(2031, 5, 2), "name": ODD},
    ],
    schema=TABLE.arrow,
)
NULLS = pa.Table.from_pylist([{"id": 3}], schema=TABLE.arrow)
PARTS = {"date_year=2031/name=ž%2Fé %25%3D?#&+ 'x'": ROWS, "date_year=null/name=null": NULLS}


def stamp(epoch: int) -> Stamp:
    return Stamp("stream", epoch, SourcePosition(f"0-1-{epoch}", "binlog.000001", epoch * 100))


def with_s3(settings: Settings, **changes: object) -> Settings:
    return settings.model_copy(update={"s3": settings.s3.model_copy(update=changes)})


@pytest.fixture
def lake(stack_settings: Settings) -> Iterator[IcebergLake]:
    with closing(IcebergLake(stack_settings)) as opened:
        yield opened


@pytest.fixture
def view(stack_settings: Settings) -> Iterator[IcebergLakeView]:
    with closing(IcebergLakeView(stack_settings)) as opened:
        yield opened


@pytest.fixture
def games(lake: IcebergLake) -> IcebergLakeTable:
    table = lake.table(TABLE)
    table.commit(table.write(PARTS, stamp(1)), [], stamp(1))
    return table


def read(view: IcebergLakeView, path: str) -> tuple[bytes, str]:
    sink = io.BytesIO()
    etag = view.copy(path, sink)
    return sink.getvalue(), etag


def bucket_and_key(path: str) -> tuple[str, str]:
    bucket, _, key = path.removeprefix("s3://").partition("/")
    return bucket, key


def test_rows_come_back_through_the_writer_and_through_the_view(
    lake: IcebergLake, games: IcebergLakeTable, view: IcebergLakeView
) -> None:
    lake.preflight()
    files = {file.partition: file for file in games.files()}
    assert {name: games.read(file) for name, file in files.items()} == PARTS
    seen = view.current(TABLE)
    assert seen is not None
    assert (seen.stamp, seen.is_foreign, seen.unreadable) == (stamp(1), False, "")
    assert {file.path for file in seen.files} == {file.path for file in files.values()}
    for name, file in files.items():
        content, _ = read(view, file.path)
        assert len(content) == file.size_bytes
        assert pq.read_table(pa.BufferReader(content)).cast(TABLE.arrow) == PARTS[name]


def test_duckdb_reads_the_same_rows_from_oddly_named_files(stack_settings: Settings, games: IcebergLakeTable) -> None:
    s3 = stack_settings.s3
    version = metadata.version("duckdb")
    extension = Path(duckdb_extension_httpfs.__file__).parent / f"extensions/v{version}/httpfs.duckdb_extension"
    paths = ", ".join(
        "'" + file.path.replace("'", "''") + "'" for file in games.files() if "null" not in file.partition
    )
    with closing(duckdb.connect()) as connection:
        connection.execute(f"LOAD '{extension}'")
        connection.execute(
            f"CREATE SECRET (TYPE s3, KEY_ID '{s3.access_key}', SECRET '{s3.secret_key.get_secret_value()}', "
            f"ENDPOINT '{s3.endpoint.removeprefix('http://')}', URL_STYLE 'path', USE_SSL false)"
        )
        read = f"SELECT id, date, name FROM read_parquet([{paths}]) WHERE year(date) = 2031 ORDER BY id"
        assert connection.execute(read).to_arrow_table().to_pylist() == ROWS.to_pylist()


def test_an_overwritten_object_has_another_etag(games: IcebergLakeTable, view: IcebergLakeView, s3: S3Client) -> None:
    path = games.files()[0].path
    content, etag = read(view, path)
    assert view.etags([path]) == {path: (etag, len(content))}
    bucket, key = bucket_and_key(path)
    s3.put_object(Bucket=bucket, Key=key, Body=content[:-1] + b"x")
    assert view.etags([path])[path][0] != etag
    assert read(view, path)[1] == view.etags([path])[path][0]


def test_etags_of_listings_are_those_of_reads(lake: IcebergLake, view: IcebergLakeView, s3: S3Client) -> None:
    table = lake.table(TABLE)
    parts = {
        f"date_year={year}/name=a b": pa.Table.from_pylist(
            [{"id": year, "date": dt.date(year, 1, 1), "name": "a b"}], schema=TABLE.arrow
        )
        for year in range(2000, 2000 + 2 * HEADS_MAX)
    }
    table.commit(table.write(parts, stamp(1)), [], stamp(1))
    paths = [file.path for file in table.files()]
    assert len(paths) == 2 * HEADS_MAX
    copied = {path: read(view, path) for path in paths}
    assert view.etags(paths) == {path: (etag, len(content)) for path, (content, etag) in copied.items()}
    bucket, key = bucket_and_key(paths[0])
    s3.delete_object(Bucket=bucket, Key=key)
    assert view.etags(paths).keys() == set(paths[1:])


def test_an_object_that_is_gone_is_named(games: IcebergLakeTable, view: IcebergLakeView, s3: S3Client) -> None:
    path = games.files()[0].path
    bucket, key = bucket_and_key(path)
    s3.delete_object(Bucket=bucket, Key=key)
    with pytest.raises(LakeError, match="is gone") as caught:
        read(view, path)
    assert f"file {path} is gone" in str(caught.value)
    assert view.etags([path]) == {}


def test_tables_are_committed_at_once_from_several_threads(lake: IcebergLake) -> None:
    tables = [TableSchema("ootp", f"table{number}", TABLE.columns, TABLE.key, TABLE.partition) for number in range(6)]

    def put(table: TableSchema) -> int:
        lake_table = lake.table(table)
        for epoch in (1, 2):
            lake_table.commit(lake_table.write(PARTS, stamp(epoch)), [], stamp(epoch))
        return len(lake.table(table).files())

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(put, tables)) == [4] * 6


def test_the_second_of_two_writers_is_refused(lake: IcebergLake) -> None:
    first, second = lake.table(TABLE), lake.table(TABLE)
    first.commit(first.write(PARTS, stamp(1)), [], stamp(1))
    with pytest.raises(ConflictError):
        second.commit(second.write(PARTS, stamp(1)), [], stamp(1))
    second.refresh()
    assert second.stamp == stamp(1)
    assert sum(file.rows for file in second.files()) == 3


@pytest.mark.parametrize("wrong", [{"access_key": "wrong"}, {"secret_key": SecretStr("wrong")}])
def test_wrong_keys_are_refused_with_what_to_check(stack_settings: Settings, wrong: dict[str, object]) -> None:
    settings = with_s3(stack_settings, **wrong)
    with ExitStack() as stack:
        lake = stack.enter_context(closing(IcebergLake(settings)))
        view = stack.enter_context(closing(IcebergLakeView(settings)))
        for attempt in (lake.preflight, lambda: lake.table(TABLE), lambda: read(view, "s3://dfp-lake/x")):
            with pytest.raises(LakeError, match=r"bucket dfp-lake at http.*check \[s3\] access_key"):
                attempt()


def test_a_missing_bucket_is_named_with_its_endpoint(stack_settings: Settings) -> None:
    settings = with_s3(stack_settings, bucket="no-such-bucket")
    with ExitStack() as stack:
        lake = stack.enter_context(closing(IcebergLake(settings)))
        with pytest.raises(LakeError, match=r"bucket no-such-bucket does not exist at http://127.*create it, or set"):
            lake.preflight()
        with pytest.raises(LakeError, match=r"the bucket does not exist at bucket no-such-bucket at http"):
            lake.table(TABLE)
        view = stack.enter_context(closing(IcebergLakeView(settings)))
        with pytest.raises(LakeError, match="the bucket does not exist"):
            read(view, "s3://no-such-bucket/x")


def test_an_endpoint_that_is_no_url_is_a_wrong_setting(stack_settings: Settings) -> None:
    with (
        closing(IcebergLake(with_s3(stack_settings, endpoint="localhost:9000"))) as lake,
        pytest.raises(ConfigError, match=r"s3\.endpoint"),
    ):
        lake.preflight()


def test_a_store_that_is_away_is_unavailable_and_works_again_when_it_is_back(
    stack: EmbeddedStack, lake: IcebergLake, games: IcebergLakeTable, view: IcebergLakeView
) -> None:
    path = games.files()[0].path
    added = games.write(PARTS, stamp(2))
    stack.kill("s3")
    try:
        for attempt in (
            lake.preflight,
            lambda: games.read(games.files()[0]),
            lambda: games.write(PARTS, stamp(2)),
            lambda: games.commit(added, [], stamp(2)),
            lambda: lake.table(TABLE),
            lambda: read(view, path),
            lambda: view.etags([path]),
            lambda: view.current(TABLE),
        ):
            with pytest.raises(Unavailable):
                attempt()
    finally:
        stack.start_part("s3")
    games.refresh()
    assert games.stamp == stamp(1)
    games.commit(added, [], stamp(2))
    assert len(games.files()) == 4
