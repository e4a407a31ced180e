"""The lake as the fingerprinter looks at it: snapshots from the catalog, objects from the store."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import IO

from pyiceberg.manifest import ManifestContent, clear_manifest_cache
from pyiceberg.serializers import FromInputFile
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Snapshot

from datafingerprint.adapters.lake_connection import LakeConnection, open_connection
from datafingerprint.adapters.lake_definition import field_ids, identifier, our_specs
from datafingerprint.adapters.lake_errors import translated
from datafingerprint.adapters.lake_manifests import Manifests
from datafingerprint.adapters.lake_metadata import MetadataObjects, understood
from datafingerprint.adapters.lake_objects import Objects, S3Objects
from datafingerprint.adapters.lake_partitions import partition_name
from datafingerprint.adapters.lake_stamps import nearest_stamp, stamp_of
from datafingerprint.config import Settings
from datafingerprint.errors import LakeError, TableDamageError, Unavailable
from datafingerprint.partitions import Partitioning, partitioning
from datafingerprint.ports import LakeFile, SnapshotView, Stamp
from datafingerprint.schema import TableSchema

VIEWS_KEPT = 4
"""Snapshots of a table that are remembered; the present one and those of the last lake commits."""

LOAD_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class _Looked:
    """A snapshot, and the manifest list and manifests that it was found in."""

    view: SnapshotView
    paths: frozenset[str]


@dataclass
class _Seen:
    """What is known of one table."""

    location: str
    metadata: TableMetadata
    objects: MetadataObjects
    manifests: Manifests
    looks: dict[int | None, _Looked] = field(default_factory=dict)


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
        self._seen: dict[tuple[str, str], _Seen] = {}
        self._lock = threading.Lock()

    def current(self, table: TableSchema) -> SnapshotView | None:
        """The present snapshot of a table; None when the table does not exist.

        Costs one small query when nothing has changed.

        Raises:
            Unavailable: store or catalog are away.
            TableDamageError: a part of the table's metadata is gone or no metadata.
        """
        with self._translated(table), self._lock:
            return self._look(table, lambda seen: self._present(table, seen))

    def snapshot(self, table: TableSchema, snapshot_id: int) -> SnapshotView | None:
        """A snapshot by its id; None when it has expired, or the table does not exist.

        Raises:
            Unavailable: store or catalog are away.
            TableDamageError: a part of the table's metadata is gone or no metadata.
        """

        def found(seen: _Seen) -> SnapshotView | None:
            if snapshot_id == seen.metadata.current_snapshot_id:
                return self._present(table, seen)
            if snapshot_id in seen.looks:
                return seen.looks[snapshot_id].view
            one = seen.metadata.snapshot_by_id(snapshot_id)
            return None if one is None else self._looked(table, seen, one).view

        with self._translated(table), self._lock:
            return self._look(table, found)

    def is_altered(self, table: TableSchema) -> bool:
        """See `ports.LakeView.is_altered`: the objects that readers of the present snapshot need are compared.

        Raises:
            Unavailable: store or catalog are away.
        """
        with self._translated(table), self._lock:
            seen = self._seen.get(identifier(table))
            looked = None if seen is None else seen.looks.get(seen.metadata.current_snapshot_id)
            if seen is None or looked is None:
                return False
            needed = {path: read for path, read in seen.objects.read.items() if path in looked.paths | {seen.location}}
            if self._objects.etags(sorted(needed)) == needed:
                return False
            del self._seen[identifier(table)]
            clear_manifest_cache()
            return True

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

    def _look(self, table: TableSchema, look: Callable[[_Seen], SnapshotView | None]) -> SnapshotView | None:
        """What a look at the metadata that the catalog names now gives; None when it names none.

        What is gone may only be no longer wanted: twenty commits later a metadata file is removed, and what belongs to
        an expired snapshot once its time of grace is over. Then the catalog names other metadata by now.
        """
        name = identifier(table)
        for _ in range(LOAD_ATTEMPTS):
            location = self._connection.metadata_location(name)
            if location is None:
                self._seen.pop(name, None)
                return None
            try:
                return look(self._load(name, location))
            except TableDamageError:
                self._seen.pop(name, None)
                if self._connection.metadata_location(name) == location:
                    raise
        raise Unavailable(f"the metadata of {table.table} keeps changing")

    def _load(self, name: tuple[str, str], location: str) -> _Seen:
        """The metadata at this place, read only when it is new."""
        seen = self._seen.get(name)
        if seen is not None and seen.location == location:
            return seen
        objects = MetadataObjects(self._objects) if seen is None else seen.objects
        with understood(location):
            metadata = FromInputFile.table_metadata(objects.new_input(location))
        if seen is not None and seen.metadata.table_uuid == metadata.table_uuid:
            self._seen[name] = replace(seen, location=location, metadata=metadata)
        else:
            self._seen[name] = _Seen(location, metadata, objects, Manifests(objects))
        return self._seen[name]

    def _present(self, table: TableSchema, seen: _Seen) -> SnapshotView:
        """The present snapshot, with the columns that the table has now: these change without a snapshot too."""
        view = self._looked(table, seen, seen.metadata.current_snapshot()).view
        return replace(view, field_ids=field_ids(seen.metadata))

    def _looked(self, table: TableSchema, seen: _Seen, snapshot: Snapshot | None) -> _Looked:
        key = snapshot.snapshot_id if snapshot else None
        if key not in seen.looks:
            seen.looks[key] = _looked_at(table, seen, snapshot)
            while len(seen.looks) > VIEWS_KEPT:
                del seen.looks[next(iter(seen.looks))]
            seen.objects.keep(frozenset({seen.location}).union(*(one.paths for one in seen.looks.values())))
        return seen.looks[key]


def _looked_at(table: TableSchema, seen: _Seen, snapshot: Snapshot | None) -> _Looked:
    if snapshot is None:
        return _Looked(SnapshotView(None, None, is_foreign=False, files=frozenset()), frozenset())
    seen.manifests.load(snapshot)
    ours = our_specs(seen.metadata, partitioning(table))
    schema = next((one for one in seen.metadata.schemas if one.schema_id == snapshot.schema_id), None)
    stamp, is_foreign, damage = _stamped(seen.metadata, snapshot)
    view = SnapshotView(
        snapshot_id=snapshot.snapshot_id,
        stamp=stamp,
        is_foreign=is_foreign,
        files=frozenset(_files(seen.manifests, partitioning(table), ours)),
        unreadable=damage or _unreadable(seen.manifests, ours),
        field_ids=field_ids(seen.metadata, schema),
    )
    return _Looked(view, frozenset({snapshot.manifest_list, *seen.manifests.paths}))


def _stamped(metadata: TableMetadata, snapshot: Snapshot) -> tuple[Stamp | None, bool, str]:
    """The nearest stamp, whether it is another snapshot's, and what is wrong with it: rows are then of no epoch."""
    try:
        return nearest_stamp(metadata, snapshot), stamp_of(snapshot) is None, ""
    except LakeError as error:
        return None, True, str(error)


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
