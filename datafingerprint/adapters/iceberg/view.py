"""The lake of the fingerprinter: snapshots from the catalog, objects from the store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import IO

from pyiceberg.manifest import ManifestContent, clear_manifest_cache
from pyiceberg.serializers import FromInputFile
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from datafingerprint.adapters.iceberg.connection import LakeConnection, open_connection
from datafingerprint.adapters.iceberg.definition import field_ids, identifier, our_specs
from datafingerprint.adapters.iceberg.errors import translated
from datafingerprint.adapters.iceberg.manifests import Manifests
from datafingerprint.adapters.iceberg.metadata import MetadataObjects, understood
from datafingerprint.adapters.iceberg.objects import Objects, S3Objects
from datafingerprint.adapters.iceberg.partitions import partition_name
from datafingerprint.adapters.iceberg.stamps import nearest_stamp, stamp_of
from datafingerprint.config import Settings
from datafingerprint.errors import LakeError, TableDamageError, Unavailable
from datafingerprint.partitions import Partitioning, partitioning
from datafingerprint.ports.lake import LakeFile, SnapshotView, Stamp
from datafingerprint.schema import TableSchema

VIEWS_KEPT = 4
"""Cached snapshots of a table: the current one and those of the last lake commits."""

LOAD_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class _CachedView:
    """A snapshot, with the paths of its manifest list and manifests."""

    view: SnapshotView
    paths: frozenset[str]


@dataclass
class _TableCache:
    """The cache of one table."""

    location: str
    metadata: TableMetadata
    objects: MetadataObjects
    manifests: Manifests
    views: dict[int | None, _CachedView] = field(default_factory=dict)


class IcebergLakeView:
    """The lake of one bucket and catalog, read-only. Several threads may use it.

    Args:
        settings: The locations of bucket and catalog.
        connection: An open connection to use instead of the configured one.
        objects: A store to use instead of the configured one.

    Raises:
        ConfigError: the catalog's URL is invalid.
        Unavailable: the catalog is away.
        LakeError: the catalog refuses user or password.
    """

    def __init__(
        self, settings: Settings, connection: LakeConnection | None = None, objects: Objects | None = None
    ) -> None:
        self._connection = connection or open_connection(settings)
        self._objects = objects or S3Objects(settings.s3)
        self._caches: dict[tuple[str, str], _TableCache] = {}
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._lock = threading.Lock()

    def changed(self, tables: Iterable[TableSchema]) -> set[str]:
        """See `ports.LakeView.changed`.

        Raises:
            Unavailable: the catalog is away.
        """
        names = {table.table: identifier(table) for table in tables}
        with translated("reading the catalog", where=self._connection.where):
            present = self._connection.metadata_locations(names.values())
        changed = set()
        for table, name in names.items():
            cache = self._caches.get(name)
            if present.get(name) != (cache.location if cache else None):
                changed.add(table)
        return changed

    def _held(self, table: TableSchema) -> threading.Lock:
        """The lock of one table: different tables are read at once."""
        with self._lock:
            return self._locks.setdefault(identifier(table), threading.Lock())

    def current(self, table: TableSchema) -> SnapshotView | None:
        """The current snapshot of a table; None if the table does not exist.

        It costs one small query if nothing has changed.

        Raises:
            Unavailable: store or catalog is away.
            TableDamageError: a part of the table's metadata is gone or damaged.
        """
        with self._translated(table), self._held(table):
            return self._read(table, lambda cache: self._current(table, cache))

    def snapshot(self, table: TableSchema, snapshot_id: int) -> SnapshotView | None:
        """A snapshot by its id; None if it has expired or the table does not exist.

        Raises:
            Unavailable: store or catalog is away.
            TableDamageError: a part of the table's metadata is gone or damaged.
        """

        def read(cache: _TableCache) -> SnapshotView | None:
            if snapshot_id == cache.metadata.current_snapshot_id:
                return self._current(table, cache)
            if snapshot_id in cache.views:
                return cache.views[snapshot_id].view
            snapshot = cache.metadata.snapshot_by_id(snapshot_id)
            return None if snapshot is None else self._cached_view(table, cache, snapshot).view

        with self._translated(table), self._held(table):
            return self._read(table, read)

    def is_altered(self, table: TableSchema) -> bool:
        """See `ports.LakeView.is_altered`; compares the objects that readers need.

        Raises:
            Unavailable: store or catalog is away.
        """
        with self._translated(table), self._held(table):
            cache = self._caches.get(identifier(table))
            cached = None if cache is None else cache.views.get(cache.metadata.current_snapshot_id)
            if cache is None or cached is None:
                return False
            needed = {
                path: read for path, read in cache.objects.read.items() if path in cached.paths | {cache.location}
            }
            if self._objects.etags(sorted(needed)) == needed:
                return False
            del self._caches[identifier(table)]
            clear_manifest_cache()
            return True

    def copy(self, path: str, into: IO[bytes]) -> str:
        """Writes the content of an object to a file, and returns the ETag of the same answer.

        Raises:
            LakeError: the object is gone.
        """
        return self._objects.copy(path, into)

    def etags(self, paths: Sequence[str]) -> Mapping[str, tuple[str, int]]:
        """The current ETag and size of objects, without those that are gone."""
        return self._objects.etags(paths)

    def close(self) -> None:
        """Closes the connections."""
        self._objects.close()
        self._connection.close()

    def _translated(self, table: TableSchema) -> AbstractContextManager[None]:
        return translated(f"reading {table.table}", where=self._connection.where)

    def _read(self, table: TableSchema, read: Callable[[_TableCache], SnapshotView | None]) -> SnapshotView | None:
        """Calls `read` with the metadata that the catalog names now; None if it names none.

        A missing object may just be outdated: a metadata file is removed after twenty commits, and the files of an
        expired snapshot after a grace period. Then the catalog names newer metadata by now, and this tries again.
        """
        name = identifier(table)
        for _ in range(LOAD_ATTEMPTS):
            location = self._connection.metadata_location(name)
            if location is None:
                self._caches.pop(name, None)
                return None
            try:
                return read(self._load(name, location))
            except TableDamageError:
                self._caches.pop(name, None)
                if self._connection.metadata_location(name) == location:
                    raise
        raise Unavailable(f"the metadata of {table.table} keeps changing")

    def _load(self, name: tuple[str, str], location: str) -> _TableCache:
        """The metadata at a location, read only if it is new."""
        cache = self._caches.get(name)
        if cache is not None and cache.location == location:
            return cache
        objects = MetadataObjects(self._objects) if cache is None else cache.objects
        with understood(location):
            metadata = FromInputFile.table_metadata(objects.new_input(location))
        if cache is not None and cache.metadata.table_uuid == metadata.table_uuid:
            self._caches[name] = replace(cache, location=location, metadata=metadata)
        else:
            self._caches[name] = _TableCache(location, metadata, objects, Manifests(objects))
        return self._caches[name]

    def _current(self, table: TableSchema, cache: _TableCache) -> SnapshotView:
        """The current snapshot with the current columns, which can change without a new snapshot."""
        view = self._cached_view(table, cache, cache.metadata.current_snapshot()).view
        return replace(view, field_ids=field_ids(cache.metadata))

    def _cached_view(self, table: TableSchema, cache: _TableCache, snapshot: Snapshot | None) -> _CachedView:
        key = snapshot.snapshot_id if snapshot else None
        if key not in cache.views:
            cache.views[key] = _read_view(table, cache, snapshot)
            while len(cache.views) > VIEWS_KEPT:
                del cache.views[next(iter(cache.views))]
            cache.objects.keep(frozenset({cache.location}).union(*(view.paths for view in cache.views.values())))
        return cache.views[key]


def _read_view(table: TableSchema, cache: _TableCache, snapshot: Snapshot | None) -> _CachedView:
    if snapshot is None:
        return _CachedView(SnapshotView(None, None, is_foreign=False, files=frozenset()), frozenset())
    cache.manifests.load(snapshot)
    ours = our_specs(cache.metadata, partitioning(table))
    schema = next((schema for schema in cache.metadata.schemas if schema.schema_id == snapshot.schema_id), None)
    stamp, is_foreign, damage = _stamped(cache.metadata, snapshot)
    view = SnapshotView(
        snapshot_id=snapshot.snapshot_id,
        stamp=stamp,
        is_foreign=is_foreign,
        files=frozenset(_files(cache.manifests, partitioning(table), ours)),
        unreadable=damage or _unreadable(cache.manifests, ours),
        field_ids=field_ids(cache.metadata, schema),
    )
    return _CachedView(view, frozenset({snapshot.manifest_list, *cache.manifests.paths}))


def _stamped(metadata: TableMetadata, snapshot: Snapshot) -> tuple[Stamp | None, bool, str]:
    """The nearest stamp, whether an ancestor holds it, and its damage.

    The rows of a snapshot with a damaged stamp belong to no epoch.
    """
    try:
        return nearest_stamp(metadata, snapshot), stamp_of(snapshot) is None, ""
    except LakeError as error:
        return None, True, str(error)


def _files(manifests: Manifests, parts: Partitioning, ours: frozenset[int]) -> Iterator[LakeFile]:
    """The live files, each once, even if the snapshot names it several times."""
    sizes: dict[str, int] = {}
    partition_names: dict[str, list[str]] = {}
    for manifest, entries in manifests.live:
        if manifest.content is ManifestContent.DATA:
            for file in (entry.data_file for entry in entries):
                sizes[file.file_path] = file.file_size_in_bytes
                is_ours = manifest.partition_spec_id in ours
                name = partition_name(file.partition, parts) if is_ours else f"spec {manifest.partition_spec_id}"
                partition_names.setdefault(file.file_path, []).append(name)
    for path, names in partition_names.items():
        yield LakeFile(path, sizes[path], tuple(sorted(names)))


def _unreadable(manifests: Manifests, ours: frozenset[int]) -> str:
    """Why the rows are not exactly those of the data files; empty if they are."""
    count = sum(len(entries) for manifest, entries in manifests.live if manifest.content is not ManifestContent.DATA)
    if count:
        return f"{count} delete files that this project did not write"
    count = sum(len(entries) for manifest, entries in manifests.live if manifest.partition_spec_id not in ours)
    return f"{count} files have partition fields that this project did not write" if count else ""
