"""Lists the objects of a lake table and those that it references, and deletes objects."""

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

from datafingerprint.adapters.iceberg.connection import LakeConnection, open_connection, s3_client
from datafingerprint.adapters.iceberg.errors import translated
from datafingerprint.adapters.iceberg.metadata import understood
from datafingerprint.config import Settings
from datafingerprint.ports.lake import ObjectInfo, References

DELETERS = 8

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_OURS = re.compile(
    rf"data/(?:.*/)?\d{{10}}-[0-9a-f]{{32}}\.parquet"
    rf"|metadata/(?:snap-\d+-\d+-{_UUID}\.avro|{_UUID}-m\d+\.avro|\d+-{_UUID}\.metadata\.json)"
)
"""Names of objects that this project or its Iceberg library writes. All others are not ours."""


@dataclass(frozen=True, slots=True)
class _ManifestCache:
    """The cache of one table: manifests by manifest list, live files by manifest."""

    lists: Mapping[str, Sequence[ManifestFile]]
    files: Mapping[str, frozenset[str]]


class IcebergLakeObjects:
    """Implements the port `LakeObjects`, for one thread at a time.

    Manifests and manifest lists never change, so their content is cached while a snapshot names them.
    """

    def __init__(self, settings: Settings, connection: LakeConnection | None = None) -> None:
        self._connection = connection or open_connection(settings)
        self._bucket = settings.s3.bucket
        self._client = s3_client(settings.s3)
        self._io = self._connection.io()
        self._caches: dict[tuple[str, str], _ManifestCache] = {}

    def versions(self) -> Mapping[tuple[str, str], str]:
        """See `ports.LakeObjects.versions`."""
        with translated("listing the lake tables", where=self._connection.where):
            return self._connection.our_locations()

    def stored(self, table: tuple[str, str]) -> Mapping[str, ObjectInfo]:
        """See `ports.LakeObjects.stored`."""
        with self._translated("listing", table):
            location = self._metadata(table)[1].location.rstrip("/")
            if not location.startswith(f"{self._connection.warehouse}/"):
                return {}
            prefix = location.removeprefix(f"s3://{self._bucket}/") + "/"
            return dict(self._list(prefix))

    def _list(self, prefix: str) -> Iterator[tuple[str, ObjectInfo]]:
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix):
            for item in page.get("Contents", []):
                if _OURS.fullmatch(item["Key"].removeprefix(prefix)):
                    info = ObjectInfo(item["LastModified"].timestamp(), item["Size"])
                    yield f"s3://{self._bucket}/{item['Key']}", info

    def references(self, table: tuple[str, str]) -> References:
        """See `ports.LakeObjects.references`."""
        with self._translated("reading the metadata of", table):
            location, metadata = self._metadata(table)
            cache = self._caches.get(table, _ManifestCache({}, {}))
            lists = {
                snapshot.manifest_list: cache.lists.get(snapshot.manifest_list) or _manifests_of(self._io, snapshot)
                for snapshot in metadata.snapshots
            }
            manifests = {manifest.manifest_path: manifest for listed in lists.values() for manifest in listed}
            files = {
                path: cache.files[path] if path in cache.files else _live_files(self._io, manifest)
                for path, manifest in manifests.items()
            }
            self._caches[table] = _ManifestCache(lists, files)
            logged = {entry.metadata_file for entry in metadata.metadata_log} | {location}
            return References(frozenset(logged.union(lists, files, *files.values())), metadata.last_updated_ms / 1000)

    def _metadata(self, table: tuple[str, str]) -> tuple[str, TableMetadata]:
        """The current metadata and its location."""
        location = self._connection.metadata_location(table)
        if location is None:
            raise NoSuchTableError(".".join(table))
        with understood(location):
            return location, FromInputFile.table_metadata(self._io.new_input(location))

    def _translated(self, what: str, table: tuple[str, str]) -> AbstractContextManager[None]:
        return translated(f"{what} {'.'.join(table)}", where=self._connection.where)

    def delete(self, paths: Sequence[str]) -> None:
        """See `ports.LakeObjects.delete`."""
        keys = [path.removeprefix(f"s3://{self._bucket}/") for path in paths]
        with translated("deleting old files", where=self._connection.where), ThreadPoolExecutor(DELETERS) as pool:
            list(pool.map(lambda key: self._client.delete_object(Bucket=self._bucket, Key=key), keys))

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()
        self._connection.close()


def _manifests_of(io: FileIO, snapshot: Snapshot) -> Sequence[ManifestFile]:
    with understood(snapshot.manifest_list):
        return snapshot.manifests(io)


def _live_files(io: FileIO, manifest: ManifestFile) -> frozenset[str]:
    with understood(manifest.manifest_path):
        entries = manifest.fetch_manifest_entry(io, discard_deleted=True)
    return frozenset(entry.data_file.file_path for entry in entries)
