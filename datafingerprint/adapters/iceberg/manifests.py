"""Reads and changes the live files of a snapshot, and reads each manifest only once.

A manifest never changes, so its entries are cached while the current snapshot names it. The overwrite of pyiceberg
reads every manifest twice, and neither merges manifests nor drops those without a live file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile as IcebergFile
from pyiceberg.manifest import ManifestContent, ManifestEntry, ManifestEntryStatus, ManifestFile
from pyiceberg.table import Transaction
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.table.snapshots import Operation, Snapshot
from pyiceberg.table.update.snapshot import _SnapshotProducer

from datafingerprint.adapters.iceberg.metadata import understood

MANIFESTS_MAX = 24
"""Small manifests at which a commit merges them; every two minutes at one commit in 5 s."""

MANIFEST_ENTRIES_MAX = 4_000
"""Live entries from which a manifest is not merged any more; less than 8 MiB, so merging stays cheap."""

READERS = 8


class Manifests:
    """The manifests of a table's snapshot with their live entries, for one thread."""

    def __init__(self, io: FileIO) -> None:
        self._io = io
        self._snapshot_id: int | None = None
        self._listed: Sequence[ManifestFile] = ()
        self._entries: dict[str, Sequence[ManifestEntry]] = {}

    def load(self, snapshot: Snapshot | None) -> bool:
        """Switches to a snapshot, and reads its new manifests.

        Returns:
            Whether the snapshot is another one.
        """
        snapshot_id = snapshot.snapshot_id if snapshot else None
        if snapshot_id == self._snapshot_id:
            return False
        listed = self._list(snapshot) if snapshot else []
        missing = [manifest for manifest in listed if manifest.manifest_path not in self._entries]
        read = dict(zip((manifest.manifest_path for manifest in missing), self._read(missing), strict=True))
        known = self._entries | read
        self._entries = {manifest.manifest_path: known[manifest.manifest_path] for manifest in listed}
        self._listed = listed
        self._snapshot_id = snapshot_id
        return True

    def start_empty(self, snapshot: Snapshot | None) -> None:
        """Treats a snapshot as empty: its files are lost, and the next snapshot must not name them."""
        self._entries = {}
        self._listed = ()
        self._snapshot_id = snapshot.snapshot_id if snapshot else None

    @property
    def paths(self) -> Sequence[str]:
        """Paths of all manifests, also of those without a live file: engines read them too."""
        return [manifest.manifest_path for manifest in self._listed]

    def _list(self, snapshot: Snapshot) -> Sequence[ManifestFile]:
        with understood(snapshot.manifest_list):
            return snapshot.manifests(self._io)

    def _read(self, manifests: Sequence[ManifestFile]) -> list[Sequence[ManifestEntry]]:
        if len(manifests) <= 1:
            return [self._read_one(manifest) for manifest in manifests]
        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(self._read_one, manifests))

    def _read_one(self, manifest: ManifestFile) -> Sequence[ManifestEntry]:
        with understood(manifest.manifest_path):
            return manifest.fetch_manifest_entry(self._io)

    @property
    def live(self) -> Iterator[tuple[ManifestFile, Sequence[ManifestEntry]]]:
        """Manifests with live files, with their live entries."""
        for manifest in self._listed:
            if self._entries[manifest.manifest_path]:
                yield manifest, self._entries[manifest.manifest_path]

    @property
    def has_delete_files(self) -> bool:
        """Whether delete files remove rows of the live data files."""
        return any(manifest.content is not ManifestContent.DATA for manifest, _ in self.live)

    @property
    def data_files(self) -> Iterator[IcebergFile]:
        """The live data files."""
        for manifest, entries in self.live:
            if manifest.content is ManifestContent.DATA:
                for entry in entries:
                    yield entry.data_file


class QuickTransaction(Transaction):
    """A transaction that copies the table's metadata only after its first change.

    pyiceberg makes a deep copy at each of the fifteen reads of a commit. With 300 snapshots, that took four fifths of
    the commit's time. The metadata is immutable, so no copy is needed.
    """

    @property
    def table_metadata(self) -> TableMetadata:
        """The metadata after this transaction."""
        return super().table_metadata if self._updates else self._table.metadata


class Replacement(_SnapshotProducer["Replacement"]):
    """A snapshot that adds and removes exactly the given files, based on that of `manifests`.

    Args:
        added: Files that become live.
        removed: Paths of live files to remove, which the caller has checked.
    """

    def __init__(
        self,
        transaction: Transaction,
        manifests: Manifests,
        added: Sequence[IcebergFile],
        removed: frozenset[str],
        properties: Mapping[str, str],
    ) -> None:
        operation = _operation(bool(added), bool(removed))
        super().__init__(operation, transaction, transaction._table.io, snapshot_properties=dict(properties))  # noqa: SLF001 - like pyiceberg's own producers
        self._live = list(manifests.live)
        self._removed = removed
        for file in added:
            self.append_data_file(file)
        for entry in self._removed_entries():
            self.delete_data_file(entry.data_file)

    def _removed_entries(self) -> Iterator[ManifestEntry]:
        for _, entries in self._live:
            yield from (entry for entry in entries if entry.data_file.file_path in self._removed)

    def _build_delete_files_partition_predicate(self) -> None:
        """Does nothing: the removed entries are already known."""

    def _deleted_entries(self) -> list[ManifestEntry]:
        return [
            _with_status(entry, ManifestEntryStatus.DELETED, self._snapshot_id) for entry in self._removed_entries()
        ]

    def _existing_manifests(self) -> list[ManifestFile]:
        kept: list[ManifestFile] = []
        small: dict[int, list[tuple[ManifestFile, Sequence[ManifestEntry]]]] = {}
        for manifest, entries in self._live:
            remaining = [entry for entry in entries if entry.data_file.file_path not in self._removed]
            is_same = len(remaining) == len(entries)
            if not remaining:
                continue
            if is_same and (manifest.content is not ManifestContent.DATA or len(entries) >= MANIFEST_ENTRIES_MAX):
                kept.append(manifest)
            elif is_same:
                small.setdefault(manifest.partition_spec_id, []).append((manifest, remaining))
            else:
                kept.append(self._write_manifest(manifest.partition_spec_id, remaining))
        return [*kept, *self._merge_small(small)]

    def _merge_small(
        self, small: Mapping[int, Sequence[tuple[ManifestFile, Sequence[ManifestEntry]]]]
    ) -> Iterator[ManifestFile]:
        for spec_id, parts in small.items():
            if len(parts) < MANIFESTS_MAX:
                yield from (manifest for manifest, _ in parts)
            else:
                yield self._write_manifest(spec_id, [entry for _, entries in parts for entry in entries])

    def _write_manifest(self, spec_id: int, entries: Sequence[ManifestEntry]) -> ManifestFile:
        with self.new_manifest_writer(self.spec(spec_id)) as writer:
            for entry in entries:
                writer.add_entry(_with_status(entry, ManifestEntryStatus.EXISTING, entry.snapshot_id))
        return writer.to_manifest_file()


def _operation(adds: bool, removes: bool) -> Operation:  # noqa: FBT001 - the two facts that decide
    if not removes:
        return Operation.APPEND
    return Operation.OVERWRITE if adds else Operation.DELETE


def _with_status(entry: ManifestEntry, status: ManifestEntryStatus, snapshot_id: int | None) -> ManifestEntry:
    """A copy of an entry with another status. Readers of the live files share the original."""
    return ManifestEntry.from_args(
        status=status,
        snapshot_id=snapshot_id,
        sequence_number=entry.sequence_number,
        file_sequence_number=entry.file_sequence_number,
        data_file=entry.data_file,
    )
