"""The lake as the fingerprinter looks at it: snapshots from the catalog, objects from the store."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import IO

from pyiceberg.manifest import ManifestContent
from pyiceberg.serializers import FromInputFile
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from datafingerprint.adapters.lake_connection import LakeConnection, open_connection
from datafingerprint.adapters.lake_definition import field_ids, identifier, our_specs
from datafingerprint.adapters.lake_errors import translated
from datafingerprint.adapters.lake_manifests import Manifests
from datafingerprint.adapters.lake_objects import Objects, S3Objects
from datafingerprint.adapters.lake_partitions import partition_name
from datafingerprint.adapters.lake_stamps import nearest_stamp, stamp_of
from datafingerprint.config import Settings
from datafingerprint.errors import Unavailable
from datafingerprint.partitions import Partitioning, partitioning
from datafingerprint.ports import LakeFile, SnapshotView
from datafingerprint.schema import TableSchema

VIEWS_KEPT = 4
"""Snapshots of a table that are remembered; the present one and those of the last lake commits."""

LOAD_ATTEMPTS = 3


@dataclass
class _Seen:
    """What is known of one table."""

    location: str
    metadata: TableMetadata
    manifests: Manifests
    views: dict[int | None, SnapshotView] = field(default_factory=dict)


class IcebergLakeView:
    """The lake of one bucket and catalog, read only; may be used by several threads.

    Args:
        settings: Where bucket and catalog are.
        connection: An open connection instead of the one that the settings name.
        objects: A store instead of the one that the settings name.

    Raises:
        ConfigError: the catalog's URL is not fit.
        Unavailable: the catalog is away.
        LakeError: the catalog refuses user or password.
    """

    def __init__(
        self, settings: Settings, connection: LakeConnection | None = None, objects: Objects | None = None
    ) -> None:
        self._connection = connection or open_connection(settings)
        self._objects = objects or S3Objects(settings.s3)
        self._io = self._connection.io()
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._lock = threading.Lock()

    def current(self, table: TableSchema) -> SnapshotView | None:
        """The present snapshot of a table; None when the table does not exist.

        Costs one small query when nothing has changed.

        Raises:
            Unavailable: store or catalog are away.
            LakeError: a part of the table's metadata is gone.
        """
        with self._translated(table), self._lock:
            seen = self._load(table)
            return None if seen is None else self._present(table, seen)

    def snapshot(self, table: TableSchema, snapshot_id: int) -> SnapshotView | None:
        """A snapshot by its id; None when it has expired, or the table does not exist.

        Raises:
            Unavailable: store or catalog are away.
            LakeError: a part of the table's metadata is gone.
        """
        with self._translated(table), self._lock:
            seen = self._load(table)
            if seen is not None and snapshot_id == seen.metadata.current_snapshot_id:
                return self._present(table, seen)
            if seen is not None and snapshot_id in seen.views:
                return seen.views[snapshot_id]
            found = None if seen is None else seen.metadata.snapshot_by_id(snapshot_id)
            if seen is None or found is None:
                return None
            try:
                return self._view(table, seen, found)
            except FileNotFoundError:
                # Its manifests went while we looked: if it has expired meanwhile, that is all there is to say.
                seen = self._load(table)
                if seen is None or seen.metadata.snapshot_by_id(snapshot_id) is None:
                    return None
                raise

    def copy(self, path: str, into: IO[bytes]) -> str:
        """Writes the bytes of an object into a file; returns the ETag of the same answer.

        Raises:
            LakeError: the object is gone.
        """
        return self._objects.copy(path, into)

    def etags(self, paths: Sequence[str]) -> Mapping[str, tuple[str, int]]:
        """The present ETag and size of objects; those that are gone are left out."""
        return self._objects.etags(paths)

    def close(self) -> None:
        """Ends the connections."""
        self._objects.close()
        self._connection.close()

    def _translated(self, table: TableSchema) -> AbstractContextManager[None]:
        return translated(f"looking at {table.table}", where=self._connection.where)

    def _load(self, table: TableSchema) -> _Seen | None:
        """What the catalog says now; the metadata is read only when it is new."""
        name = identifier(table)
        failure: FileNotFoundError | None = None
        for _ in range(LOAD_ATTEMPTS):
            location = self._connection.metadata_location(name)
            if location is None:
                self._seen.pop(name, None)
                return None
            seen = self._seen.get(name)
            if seen is not None and seen.location == location:
                return seen
            try:
                metadata = FromInputFile.table_metadata(self._io.new_input(location))
            except FileNotFoundError as error:
                failure = error  # twenty commits later a metadata file is removed: ask for the newer one
                continue
            return self._remember(name, location, metadata)
        raise failure or Unavailable(f"the metadata of {table.table} keeps changing")

    def _remember(self, name: tuple[str, str], location: str, metadata: TableMetadata) -> _Seen:
        old = self._seen.get(name)
        if old is not None and old.metadata.table_uuid == metadata.table_uuid:
            manifests, views = old.manifests, old.views
        else:
            manifests, views = Manifests(self._io), {}
        self._seen[name] = _Seen(location, metadata, manifests, views)
        return self._seen[name]

    def _present(self, table: TableSchema, seen: _Seen) -> SnapshotView:
        """The present snapshot, with the columns that the table has now: these change without a snapshot too."""
        return replace(self._view(table, seen, seen.metadata.current_snapshot()), field_ids=field_ids(seen.metadata))

    def _view(self, table: TableSchema, seen: _Seen, snapshot: Snapshot | None) -> SnapshotView:
        key = snapshot.snapshot_id if snapshot else None
        if key not in seen.views:
            seen.views[key] = self._looked_at(table, seen, snapshot)
            while len(seen.views) > VIEWS_KEPT:
                del seen.views[next(iter(seen.views))]
        return seen.views[key]

    def _looked_at(self, table: TableSchema, seen: _Seen, snapshot: Snapshot | None) -> SnapshotView:
        if snapshot is None:
            return SnapshotView(None, None, is_foreign=False, files=frozenset())
        seen.manifests.load(snapshot)
        ours = our_specs(seen.metadata, partitioning(table))
        schema = next((one for one in seen.metadata.schemas if one.schema_id == snapshot.schema_id), None)
        return SnapshotView(
            snapshot_id=snapshot.snapshot_id,
            stamp=nearest_stamp(seen.metadata, snapshot),
            is_foreign=stamp_of(snapshot) is None,
            files=frozenset(_files(seen.manifests, partitioning(table), ours)),
            unreadable=_unreadable(seen.manifests, ours),
            field_ids=field_ids(seen.metadata, schema),
        )


def _files(manifests: Manifests, parts: Partitioning, ours: frozenset[int]) -> Iterator[LakeFile]:
    """The live files, each once, however often the snapshot names it."""
    octets: dict[str, int] = {}
    filed: dict[str, list[str]] = {}
    for manifest, entries in manifests.live:
        if manifest.content is ManifestContent.DATA:
            for file in (entry.data_file for entry in entries):
                octets[file.file_path] = file.file_size_in_bytes
                is_ours = manifest.partition_spec_id in ours
                name = partition_name(file.partition, parts) if is_ours else f"spec {manifest.partition_spec_id}"
                filed.setdefault(file.file_path, []).append(name)
    for path, names in filed.items():
        yield LakeFile(path, octets[path], tuple(sorted(names)))


def _unreadable(manifests: Manifests, ours: frozenset[int]) -> str:
    """Why rows cannot be told from files; empty when they can."""
    count = sum(len(entries) for manifest, entries in manifests.live if manifest.content is not ManifestContent.DATA)
    if count:
        return f"{count} delete files that this project did not write"
    count = sum(len(entries) for manifest, entries in manifests.live if manifest.partition_spec_id not in ours)
    return f"{count} files are filed by partition fields that this project did not write" if count else ""
