"""Checks the bucket and the catalog for `datafingerprint doctor`."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Mapping

from pyiceberg.catalog.sql import SqlCatalog
from sqlalchemy import inspect

from datafingerprint import wire
from datafingerprint.adapters.iceberg.connection import (
    LakeConnection,
    LakeFileIO,
    file_properties,
    open_connection,
    require_bucket,
    s3_client,
    store_name,
)
from datafingerprint.adapters.iceberg.errors import translated
from datafingerprint.adapters.iceberg.lake import IcebergLake
from datafingerprint.adapters.kafka.checkup import Stream
from datafingerprint.adapters.runtime import postgres
from datafingerprint.adapters.runtime.checkup_files import database_file, is_to_be_made, made_later, written
from datafingerprint.checkup import CheckResult, Component
from datafingerprint.config import Settings
from datafingerprint.errors import LakeError, Stop
from datafingerprint.recovery import OTHER_LAKE
from datafingerprint.schema import TableSchema

BUCKET = Component("bucket")
CATALOG = Component("catalog")

PROBE = b"datafingerprint doctor"

CATALOG_TABLES = ("iceberg_tables", "iceberg_namespace_properties")


class LakeCheckup:
    """Checks the lake. It deletes the object that it writes, and creates no table."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._where = store_name(settings.s3)

    def findings(self, stream: Stream | None) -> Iterator[CheckResult]:
        """Run all checks of the lake.

        Args:
            stream: The end of the stream; None when the control topics could not be read.
        """
        yield from BUCKET.looked("reachable", self._bucket)
        yield from CATALOG.looked("reachable", lambda: self._catalog(stream))

    def _bucket(self) -> Iterator[CheckResult]:
        require_bucket(self._settings.s3)
        yield BUCKET.ok("reachable", self._where)
        yield from BUCKET.looked("objects", self._objects)

    def _objects(self) -> Iterator[CheckResult]:
        """Writes an object as the lake writer does, lists it, reads it back, and deletes it."""
        bucket = self._settings.s3.bucket
        key = "/".join(part for part in (self._settings.lake.path.strip("/"), f"doctor-{uuid.uuid4().hex}") if part)
        client = s3_client(self._settings.s3)
        with contextlib.closing(client):
            self._put(key)
            try:
                with translated("listing objects", where=self._where):
                    listed = client.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", [])
                with translated("reading an object", where=self._where):
                    with client.get_object(Bucket=bucket, Key=key)["Body"] as body:
                        content = body.read()
                    client.head_object(Bucket=bucket, Key=key)
            finally:
                with translated("deleting an object", where=self._where):
                    client.delete_object(Bucket=bucket, Key=key)
        if content != PROBE or [item["Key"] for item in listed] != [key]:
            remedy = "read the store's log"
            raise LakeError("the store does not return the object that was written", where=self._where, remedy=remedy)
        yield BUCKET.ok("objects", "can be written, listed, read and deleted")

    def _put(self, key: str) -> None:
        with (
            translated("writing an object", where=self._where),
            LakeFileIO(file_properties(self._settings.s3))
            .new_output(f"s3://{self._settings.s3.bucket}/{key}")
            .create() as stream,
        ):
            stream.write(PROBE)

    def _catalog(self, stream: Stream | None) -> Iterator[CheckResult]:
        file = database_file(self._settings.lake.database.get_secret_value())
        if file is not None and is_to_be_made(file):
            yield from made_later(CATALOG, file, "the lake writer")
            return
        connection = open_connection(self._settings, make_tables=False)
        lake = IcebergLake(self._settings, connection)
        with contextlib.closing(lake):
            if not isinstance(connection.catalog, SqlCatalog):
                yield from self._remote_catalog(connection, lake, stream)
                return
            with translated("reading the catalog", where=self._where):
                engine = connection.catalog.engine
                has_tables = inspect(engine).has_table("iceberg_tables")
                missing_grants = postgres.lacking_grant(engine, CATALOG_TABLES)
            yield CATALOG.ok("reachable", "" if has_tables else "it is empty: the lake writer creates its tables")
            yield from written(CATALOG, file)
            if missing_grants:
                yield CATALOG.problem(
                    "privileges", "the account lacks privileges that the services need", missing_grants
                )
            elif has_tables:
                yield from self._ownership(lake, stream)

    def _remote_catalog(
        self, connection: LakeConnection, lake: IcebergLake, stream: Stream | None
    ) -> Iterator[CheckResult]:
        """Checks a REST catalog or Glue.

        The right to create and change tables shows only at the first commit.
        """
        with translated("reading the catalog", where=self._where):
            tables = len(connection.our_locations())
        yield CATALOG.ok("reachable", f"{self._settings.lake.catalog_kind}, {tables} tables below the lake's path")
        yield from self._ownership(lake, stream)

    def _ownership(self, lake: IcebergLake, stream: Stream | None) -> Iterator[CheckResult]:
        if stream is None:
            yield CATALOG.ok("tables", "not checked, because the control topics cannot be read")
        elif stream.last is None:
            yield from self._without_stream(lake)
        else:
            yield from self._tables(lake, stream.definitions, stream.last.stream_id)

    def _without_stream(self, lake: IcebergLake) -> Iterator[CheckResult]:
        """Before the first epoch the lake must be empty, unless the broker has lost its topics."""
        with translated("looking for lake tables", where=self._where):
            stamps = lake.stamps()
        for name, stamp in sorted(stamps.items()):
            yield CATALOG.refused("tables", wire.lost_epochs(name, stamp.stream_id, stamp.epoch))
        if not stamps:
            yield CATALOG.ok("tables", "no table exists yet")

    def _tables(
        self, lake: IcebergLake, definitions: Mapping[str, TableSchema], stream_id: str
    ) -> Iterator[CheckResult]:
        existing = problems = 0
        for name, definition in sorted(definitions.items()):
            try:
                table = lake.existing(definition)
            except Stop as error:
                problems += 1
                yield CATALOG.refused("tables", error)
                continue
            existing += table is not None
            stamp = table.stamp if table is not None else None
            if stamp is not None and stamp.stream_id != stream_id:
                problems += 1
                remedy = (
                    f"give the new stream another {OTHER_LAKE}, or [kafka] the prefix that the lake was written from"
                )
                yield CATALOG.problem("tables", f"{name} belongs to stream {stamp.stream_id}, not {stream_id}", remedy)
        if not problems:
            yield CATALOG.ok(
                "tables", f"{existing} of {len(definitions)} tables exist, with the partition fields of the stream"
            )
