"""The live files of a snapshot, and the commit that changes them, both from manifests that are read once.

A manifest never changes, so what was read of one is kept for as long as the present snapshot names it. pyiceberg's
own overwrite reads every manifest twice, and neither merges them nor forgets those without a live file.
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

from datafingerprint.adapters.lake_metadata import understood

MANIFESTS_MAX = 24
"""Small manifests that a snapshot may name before a commit writes them as one; at 5 s a commit, every two minutes."""

MANIFEST_ENTRIES_MAX = 4_000
"""Live entries from which on a manifest is left alone; less than 8 MiB, so that merging stays cheap."""

READERS = 8


class Manifests:
    """The manifests of one table's present snapshot, with their live entries; not for use by several threads."""

    def __init__(self, io: FileIO) -> None:
        self._io = io
        self._snapshot_id: int | None = None
        self._listed: Sequence[ManifestFile] = ()
        self._entries: dict[str, Sequence[ManifestEntry]] = {}

    def load(self, snapshot: Snapshot | None) -> bool:
        """Goes to a snapshot, reading only manifests that are new; whether anything changed."""
        snapshot_id = snapshot.snapshot_id if snapshot else None
        if snapshot_id == self._snapshot_id:
            return False
        listed = self._list(snapshot) if snapshot else []
        missing = [one for one in listed if one.manifest_path not in self._entries]
        read = dict(zip((one.manifest_path for one in missing), self._read(missing), strict=True))
        known = self._entries | read
        self._entries = {one.manifest_path: known[one.manifest_path] for one in listed}
        self._listed = listed
        self._snapshot_id = snapshot_id
        return True

    def begin_anew(self, snapshot: Snapshot | None) -> None:
        """Takes a snapshot to have no file: what it names is lost, and is not to be in the next one."""
        self._entries = {}
        self._listed = ()
        self._snapshot_id = snapshot.snapshot_id if snapshot else None

    @property
    def paths(self) -> Sequence[str]:
        """Where the manifests of the snapshot lie, those without a live file as well: engines read all of them."""
        return [manifest.manifest_path for manifest in self._listed]

    def _list(self, snapshot: Snapshot) -> Sequence[ManifestFile]:
        with understood(snapshot.manifest_list):
            return snapshot.manifests(self._io)

    def _read(self, manifests: Sequence[ManifestFile]) -> list[Sequence[ManifestEntry]]:
        if len(manifests) <= 1:
            return [self._read_one(one) for one in manifests]
        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(self._read_one, manifests))

    def _read_one(self, manifest: ManifestFile) -> Sequence[ManifestEntry]:
        with understood(manifest.manifest_path):
            return manifest.fetch_manifest_entry(self._io)

    @property
    def live(self) -> Iterator[tuple[ManifestFile, Sequence[ManifestEntry]]]:
        """Manifests that name a live file, with their live entries."""
        for manifest in self._listed:
            if self._entries[manifest.manifest_path]:
                yield manifest, self._entries[manifest.manifest_path]

    @property
    def has_delete_files(self) -> bool:
        """Whether some rows of the live files are deleted by other files."""
        return any(manifest.content is not ManifestContent.DATA for manifest, _ in self.live)

    @property
    def data_files(self) -> Iterator[IcebergFile]:
        """The live data files."""
        for manifest, entries in self.live:
            if manifest.content is ManifestContent.DATA:
                for entry in entries:
                    yield entry.data_file


class QuickTransaction(Transaction):
    """A transaction that copies the table's metadata only once it has changed something.

    pyiceberg copies all of it, deeply, at each of the fifteen looks that a commit takes: with 300 snapshots that was
    four fifths of the commit's time. Metadata is frozen, so nobody can tell the difference.
    """

    @property
    def table_metadata(self) -> TableMetadata:
        """The metadata as this transaction would leave it."""
        return super().table_metadata if self._updates else self._table.metadata


class Replacement(_SnapshotProducer["Replacement"]):
    """A snapshot with exactly these files added and those removed, against the snapshot that `manifests` shows.

    Args:
        added: Files that become live.
        removed: Paths that stop being live; the caller has checked that they are.
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
        super().__init__(operation, transaction, transaction._table.io, snapshot_properties=dict(properties))  # noqa: SLF001 - as pyiceberg's own producers get it
        self._present = list(manifests.live)
        self._removed = removed
        for file in added:
            self.append_data_file(file)
        for entry in self._removed_entries():
            self.delete_data_file(entry.data_file)

    def _removed_entries(self) -> Iterator[ManifestEntry]:
        for _, entries in self._present:
            yield from (entry for entry in entries if entry.data_file.file_path in self._removed)

    def _build_delete_files_partition_predicate(self) -> None:
        """Nothing is looked for by predicate: the entries are at hand."""

    def _deleted_entries(self) -> list[ManifestEntry]:
        return [
            _with_status(entry, ManifestEntryStatus.DELETED, self._snapshot_id) for entry in self._removed_entries()
        ]

    def _existing_manifests(self) -> list[ManifestFile]:
        kept: list[ManifestFile] = []
        small: dict[int, list[tuple[ManifestFile, Sequence[ManifestEntry]]]] = {}
        for manifest, entries in self._present:
            remaining = [entry for entry in entries if entry.data_file.file_path not in self._removed]
            is_same = len(remaining) == len(entries)
            if not remaining:
                continue
            if is_same and (manifest.content is not ManifestContent.DATA or len(entries) >= MANIFEST_ENTRIES_MAX):
                kept.append(manifest)
            elif is_same:
                small.setdefault(manifest.partition_spec_id, []).append((manifest, remaining))
            else:
                kept.append(self._written(manifest.partition_spec_id, remaining))
        return [*kept, *self._merged(small)]

    def _merged(
        self, small: Mapping[int, Sequence[tuple[ManifestFile, Sequence[ManifestEntry]]]]
    ) -> Iterator[ManifestFile]:
        for spec_id, parts in small.items():
            if len(parts) < MANIFESTS_MAX:
                yield from (manifest for manifest, _ in parts)
            else:
                yield self._written(spec_id, [entry for _, entries in parts for entry in entries])

    def _written(self, spec_id: int, entries: Sequence[ManifestEntry]) -> ManifestFile:
        with self.new_manifest_writer(self.spec(spec_id)) as writer:
            for entry in entries:
                writer.add_entry(_with_status(entry, ManifestEntryStatus.EXISTING, entry.snapshot_id))
        return writer.to_manifest_file()


def _operation(adds: bool, removes: bool) -> Operation:  # noqa: FBT001 - the two facts that decide
    if not removes:
        return Operation.APPEND
    return Operation.OVERWRITE if adds else Operation.DELETE


def _with_status(entry: ManifestEntry, status: ManifestEntryStatus, snapshot_id: int | None) -> ManifestEntry:
    """A copy: the entry itself is shared with whoever reads the live files meanwhile."""
    return ManifestEntry.from_args(
        status=status,
        snapshot_id=snapshot_id,
        sequence_number=entry.sequence_number,
        file_sequence_number=entry.file_sequence_number,
        data_file=entry.data_file,
    )
