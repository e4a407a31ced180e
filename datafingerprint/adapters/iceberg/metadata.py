"""Reads the metadata objects of lake tables, each with the ETag of its content."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

from pyiceberg.io import FileIO, InputFile, OutputFile

from datafingerprint.adapters.iceberg.objects import Objects
from datafingerprint.errors import DataFingerprintError, FileDamageError, TableDamageError

_RESNAPSHOT = (
    "restore it, or re-snapshot the table (datafingerprint resync) and start the lake writer if it has stopped"
)
_DROP = (
    "restore it, or stop the lake writer, drop the table in the catalog, start the lake writer, and re-snapshot the "
    "table (datafingerprint resync)"
)


def _damage(path: str, what: str) -> TableDamageError:
    """The error for a damaged object. The table's root file needs another remedy than the rest."""
    is_root = path.endswith((".metadata.json", ".metadata.json.gz"))
    remedy = _DROP if is_root else _RESNAPSHOT
    return TableDamageError(f"object {path} of the lake's metadata {what}", remedy=remedy)


@contextmanager
def understood(path: str) -> Iterator[None]:
    """Translate errors of reading or decoding a metadata object in the block.

    Raises:
        TableDamageError: the object is missing, or its content is not valid metadata.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise _damage(path, "is gone") from error
    except (DataFingerprintError, OSError):
        raise
    # The decoders of the library may raise any exception for invalid content.
    except Exception as error:
        raise _damage(path, f"cannot be decoded ({type(error).__name__})") from error


class MetadataObjects(FileIO):
    """Read-only access of pyiceberg to the metadata of one table, through the port `Objects`.

    Attributes:
        read: ETag and size of each object at its first read, by path.
    """

    def __init__(self, objects: Objects) -> None:
        super().__init__()
        self._objects = objects
        self.read: dict[str, tuple[str, int]] = {}

    def content(self, path: str) -> bytes:
        """The content of an object.

        Raises:
            TableDamageError: the object is gone.
            LakeError: the store refuses the read.
            Unavailable: the store is away.
        """
        into = io.BytesIO()
        try:
            etag = self._objects.copy(path, into)
        except (FileDamageError, FileNotFoundError) as error:
            raise _damage(path, "is gone") from error
        content = into.getvalue()
        self.read.setdefault(path, (etag, len(content)))
        return content

    def keep(self, paths: frozenset[str]) -> None:
        """Drops the ETags of all other objects."""
        self.read = {path: read for path, read in self.read.items() if path in paths}

    def new_input(self, location: str) -> InputFile:
        """An object to read."""
        return _Input(location, self)

    def new_output(self, location: str) -> OutputFile:
        """Raises an error: this access is read-only."""
        raise NotImplementedError(location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Raises an error: this access is read-only."""
        raise NotImplementedError(location)


class _Input(InputFile):
    def __init__(self, location: str, objects: MetadataObjects) -> None:
        super().__init__(location)
        self._objects = objects

    def __len__(self) -> int:
        return len(self._objects.content(self.location))

    def exists(self) -> bool:
        try:
            self._objects.content(self.location)
        except TableDamageError:
            return False
        return True

    def open(self, seekable: bool = True) -> io.BytesIO:  # noqa: ARG002, FBT001, FBT002 - pyiceberg's signature
        return io.BytesIO(self._objects.content(self.location))
