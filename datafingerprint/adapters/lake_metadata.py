"""The objects that the metadata of lake tables lies in: read whole, each with the ETag of the bytes that were read."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager

from pyiceberg.io import FileIO, InputFile, OutputFile

from datafingerprint.adapters.lake_objects import Objects
from datafingerprint.errors import DataFingerprintError, FileDamageError, TableDamageError

_READ_AGAIN = "restore it, or read the table again (resync) and start the lake writer, should it have stopped"
_DROP = "restore it, or stop the lake writer, drop the table in the catalog, start it and read the table again (resync)"


def _damage(path: str, what: str) -> TableDamageError:
    """What is wrong with an object; the catalog names the file of metadata itself, so that it leads nowhere without."""
    is_root = path.endswith((".metadata.json", ".metadata.json.gz"))
    return TableDamageError(f"object {path} of the lake's metadata {what}", remedy=_DROP if is_root else _READ_AGAIN)


@contextmanager
def understood(path: str) -> Iterator[None]:
    """Names the object when it is gone, or what is in it cannot be understood; what else fails is passed on.

    Raises:
        TableDamageError: it is not there, or its bytes are no such metadata.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise _damage(path, "is gone") from error
    except (DataFingerprintError, OSError):
        raise
    # Whatever bytes may lie there: the library's decoders raise what comes first, by no rule.
    except Exception as error:
        raise _damage(path, f"cannot be understood ({type(error).__name__})") from error


class MetadataObjects(FileIO):
    """Iceberg's way to the metadata of one table through the port `Objects`; reads only.

    Attributes:
        read: Path to the ETag and size of the bytes that were read, the first time where it was several times.
    """

    def __init__(self, objects: Objects) -> None:
        super().__init__()
        self._objects = objects
        self.read: dict[str, tuple[str, int]] = {}

    def octets(self, path: str) -> bytes:
        """The bytes of an object.

        Raises:
            TableDamageError: it is gone.
            LakeError: the store refuses whoever reads it.
            Unavailable: the store is away.
        """
        into = io.BytesIO()
        try:
            etag = self._objects.copy(path, into)
        except (FileDamageError, FileNotFoundError) as error:
            raise _damage(path, "is gone") from error
        octets = into.getvalue()
        self.read.setdefault(path, (etag, len(octets)))
        return octets

    def keep(self, paths: frozenset[str]) -> None:
        """Forgets all other objects."""
        self.read = {path: read for path, read in self.read.items() if path in paths}

    def new_input(self, location: str) -> InputFile:
        """An object to read."""
        return _Input(location, self)

    def new_output(self, location: str) -> OutputFile:
        """Nothing is written here."""
        raise NotImplementedError(location)

    def delete(self, location: str | InputFile | OutputFile) -> None:
        """Nothing is deleted here."""
        raise NotImplementedError(location)


class _Input(InputFile):
    def __init__(self, location: str, objects: MetadataObjects) -> None:
        super().__init__(location)
        self._objects = objects

    def __len__(self) -> int:
        return len(self._objects.octets(self.location))

    def exists(self) -> bool:
        try:
            self._objects.octets(self.location)
        except TableDamageError:
            return False
        return True

    def open(self, seekable: bool = True) -> io.BytesIO:  # noqa: ARG002, FBT001, FBT002 - pyiceberg's signature
        return io.BytesIO(self._objects.octets(self.location))
