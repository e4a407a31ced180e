"""What lies in the bucket below a lake table, what its metadata refers to, and the end of what nobody refers to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass

from pyiceberg.exceptions import NoSuchTableError
from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestFile
from pyiceberg.serializers import FromInputFile
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from datafingerprint.adapters.lake_connection import LakeConnection, open_connection, s3_client
from datafingerprint.adapters.lake_errors import translated
from datafingerprint.adapters.lake_metadata import understood
from datafingerprint.config import Settings
from datafingerprint.ports import References, Stored

DELETERS = 8

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_OURS = re.compile(
    rf"data/(?:.*/)?\d{{10}}-[0-9a-f]{{32}}\.parquet"
    rf"|metadata/(?:snap-\d+-\d+-{_UUID}\.avro|{_UUID}-m\d+\.avro|\d+-{_UUID}\.metadata\.json)"
)
"""Names that this project and its Iceberg library give; what is called otherwise is somebody else's."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What was read of one table: manifest list to its manifests, manifest to its live files."""

    lists: Mapping[str, Sequence[ManifestFile]]
    files: Mapping[str, frozenset[str]]


class LakeGarbage:
    """Implements the port `Garbage`; not for use by several threads at once.

    Manifests and manifest lists never change, so what was read of one is kept while a snapshot names it.
    """

    def __init__(self, settings: Settings, connection: LakeConnection | None = None) -> None:
        self._connection = connection or open_connection(settings)
        self._bucket = settings.s3.bucket
        self._client = s3_client(settings.s3)
        self._io = self._connection.io()
        self._known: dict[tuple[str, str], _Read] = {}

    def tables(self) -> Sequence[tuple[str, str]]:
        """See `ports.Garbage.tables`; tables that lie elsewhere are somebody else's."""
        catalog = self._connection.catalog
        with translated("listing the lake tables", where=self._connection.where):
            names = [name for space in catalog.list_namespaces() for name in catalog.list_tables(space)]
        return [(name[0], name[1]) for name in names if len(name) == 2]  # noqa: PLR2004 - schema and table

    def stored(self, table: tuple[str, str]) -> Mapping[str, Stored]:
        """See `ports.Garbage.stored`."""
        with self._translated("listing", table):
            location = self._metadata(table)[1].location.rstrip("/")
            if not location.startswith(f"{self._connection.warehouse}/"):
                return {}
            prefix = location.removeprefix(f"s3://{self._bucket}/") + "/"
            return dict(self._listed(prefix))

    def _listed(self, prefix: str) -> Iterator[tuple[str, Stored]]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                if _OURS.fullmatch(item["Key"].removeprefix(prefix)):
                    found = Stored(item["LastModified"].timestamp(), item["Size"])
                    yield f"s3://{self._bucket}/{item['Key']}", found

    def references(self, table: tuple[str, str]) -> References:
        """See `ports.Garbage.references`."""
        with self._translated("reading the metadata of", table):
            at, metadata = self._metadata(table)
            known = self._known.get(table, _Read({}, {}))
            lists = {
                one.manifest_list: known.lists.get(one.manifest_list) or _listed(self._io, one)
                for one in metadata.snapshots
            }
            manifests = {one.manifest_path: one for listed in lists.values() for one in listed}
            files = {
                path: known.files[path] if path in known.files else _live_files(self._io, one)
                for path, one in manifests.items()
            }
            self._known[table] = _Read(lists, files)
            logged = {one.metadata_file for one in metadata.metadata_log} | {at}
            return References(frozenset(logged.union(lists, files, *files.values())), metadata.last_updated_ms / 1000)

    def _metadata(self, table: tuple[str, str]) -> tuple[str, TableMetadata]:
        """The present metadata, and where it lies."""
        location = self._connection.metadata_location(table)
        if location is None:
            raise NoSuchTableError(".".join(table))
        with understood(location):
            return location, FromInputFile.table_metadata(self._io.new_input(location))

    def _translated(self, what: str, table: tuple[str, str]) -> AbstractContextManager[None]:
        return translated(f"{what} {'.'.join(table)}", where=self._connection.where)

    def delete(self, paths: Sequence[str]) -> None:
        """See `ports.Garbage.delete`."""
        keys = [path.removeprefix(f"s3://{self._bucket}/") for path in paths]
        with translated("deleting old files", where=self._connection.where), ThreadPoolExecutor(DELETERS) as pool:
            list(pool.map(lambda key: self._client.delete_object(Bucket=self._bucket, Key=key), keys))

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()
        self._connection.close()


def _listed(io: FileIO, snapshot: Snapshot) -> Sequence[ManifestFile]:
    with understood(snapshot.manifest_list):
        return snapshot.manifests(io)


def _live_files(io: FileIO, manifest: ManifestFile) -> frozenset[str]:
    with understood(manifest.manifest_path):
        entries = manifest.fetch_manifest_entry(io, discard_deleted=True)
    return frozenset(entry.data_file.file_path for entry in entries)
