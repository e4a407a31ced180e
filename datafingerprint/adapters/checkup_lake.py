"""Looks at the bucket and the catalog for `datafingerprint doctor`."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from datafingerprint import wire
from datafingerprint.adapters.checkup_kafka import Stream
from datafingerprint.adapters.lake import IcebergLake
from datafingerprint.adapters.lake_connection import (
    LakeFileIO,
    file_properties,
    open_connection,
    require_bucket,
    s3_client,
    store_name,
)
from datafingerprint.adapters.lake_errors import translated
from datafingerprint.config import Settings
from datafingerprint.errors import LakeError, Stop
from datafingerprint.findings import Finding, Part
from datafingerprint.remedies import OTHER_LAKE
from datafingerprint.schema import TableSchema

BUCKET = Part("bucket")
CATALOG = Part("catalog")

PROBE = b"datafingerprint doctor"


class LakeCheckup:
    """Looks at the lake; what it puts into the bucket it removes again, and it makes no table."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._where = store_name(settings.s3)

    def findings(self, stream: Stream | None) -> Iterator[Finding]:
        """All that there is to say; `stream` is what the control topics say, None when they could not be read."""
        yield from BUCKET.looked("reachable", self._bucket)
        yield from CATALOG.looked("reachable", lambda: self._catalog(stream))

    def _bucket(self) -> Iterator[Finding]:
        require_bucket(self._settings.s3)
        yield BUCKET.ok("reachable", self._where)
        yield from BUCKET.looked("objects", self._objects)

    def _objects(self) -> Iterator[Finding]:
        """Puts an object as data files are put, lists it, reads it as files are read back, and deletes it."""
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
                        octets = body.read()
                    client.head_object(Bucket=bucket, Key=key)
            finally:
                with translated("deleting an object", where=self._where):
                    client.delete_object(Bucket=bucket, Key=key)
        if octets != PROBE or [one["Key"] for one in listed] != [key]:
            remedy = "see the store's log"
            raise LakeError("the store does not give back what was put", where=self._where, remedy=remedy)
        yield BUCKET.ok("objects", "can be put, listed, read and deleted")

    def _put(self, key: str) -> None:
        with (
            translated("putting an object", where=self._where),
            LakeFileIO(file_properties(self._settings.s3))
            .new_output(f"s3://{self._settings.s3.bucket}/{key}")
            .create() as stream,
        ):
            stream.write(PROBE)

    def _catalog(self, stream: Stream | None) -> Iterator[Finding]:
        url = self._settings.lake.catalog.get_secret_value()
        missing = _missing_file(url)
        if missing:
            yield CATALOG.ok("reachable", f"{missing} is not there yet: the lake writer makes it")
            return
        connection = open_connection(self._settings, make_tables=False)
        lake = IcebergLake(self._settings, connection)
        with contextlib.closing(lake):
            with translated("looking at the catalog", where=self._where):
                is_made = inspect(connection.catalog.engine).has_table("iceberg_tables")
            yield CATALOG.ok("reachable", "" if is_made else "it is empty: the lake writer makes its tables")
            if is_made:
                yield from self._belonging(lake, stream)

    def _belonging(self, lake: IcebergLake, stream: Stream | None) -> Iterator[Finding]:
        if stream is None:
            yield CATALOG.ok("tables", "not looked at, for the control topics cannot be read")
        elif stream.last is None:
            yield from self._without_stream(lake)
        else:
            yield from self._tables(lake, stream.definitions, stream.last.stream_id)

    def _without_stream(self, lake: IcebergLake) -> Iterator[Finding]:
        """Before the first epoch there is nothing that could have written a table of the lake."""
        with translated("looking for lake tables", where=self._where):
            stamps = lake.stamps()
        for name, stamp in sorted(stamps.items()):
            yield CATALOG.refused("tables", wire.lost_epochs(name, stamp.stream_id, stamp.epoch))
        if not stamps:
            yield CATALOG.ok("tables", "none is there yet")

    def _tables(self, lake: IcebergLake, definitions: Mapping[str, TableSchema], stream_id: str) -> Iterator[Finding]:
        there = wrong = 0
        for name, definition in sorted(definitions.items()):
            try:
                table = lake.existing(definition)
            except Stop as error:
                wrong += 1
                yield CATALOG.refused("tables", error)
                continue
            there += table is not None
            stamp = table.stamp if table is not None else None
            if stamp is not None and stamp.stream_id != stream_id:
                wrong += 1
                remedy = (
                    f"give the new stream another {OTHER_LAKE}, or [kafka] the prefix that the lake was written from"
                )
                yield CATALOG.problem("tables", f"{name} belongs to stream {stamp.stream_id}, not {stream_id}", remedy)
        if not wrong:
            yield CATALOG.ok(
                "tables", f"{there} of {len(definitions)} tables are there, split as the stream splits them"
            )


def _missing_file(url: str) -> str:
    """The file of a SQLite catalog that is not there; connecting would make it."""
    with contextlib.suppress(ArgumentError):
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database and not Path(parsed.database).exists():
            return parsed.database
    return ""
