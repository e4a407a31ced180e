"""Temporary files without a name: the system removes them with the process, by kill -9 as well."""

from __future__ import annotations

import contextlib
import tempfile
import weakref
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING

import pyarrow as pa

from datafingerprint.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

Alive = Callable[[], object]
"""Told that work goes on, and has not come to its end."""

_BUFFER_OCTETS = 1 << 20

_SPOOLED_OCTETS = 1 << 20
"""How long a spooled file may become in memory."""


@contextlib.contextmanager
def _translated(directory: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"a temporary file cannot be used ({error.strerror})",
            where=directory,
            remedy="make room there, or set [scratch] directory to a disk that has more",
        ) from error


def _close(file: IO[bytes]) -> None:
    # What is left in the buffer may not fit on the disk any more; it is not wanted either.
    with contextlib.suppress(OSError):
        file.close()


class _SpooledFile(tempfile.SpooledTemporaryFile[bytes]):
    """A file in memory until it is long; only then the directory is used at all, and may fail."""

    def __init__(self, directory: str, alive: Alive) -> None:
        super().__init__(_SPOOLED_OCTETS, dir=directory)
        self._directory = directory
        self._alive = alive

    def write(self, octets: ReadableBuffer) -> int:
        self._alive()
        with _translated(self._directory):
            return super().write(octets)

    def read(self, *size: int) -> bytes:
        self._alive()
        with _translated(self._directory):
            return super().read(*size)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        # As above; and what fails here would hide what failed before.
        with contextlib.suppress(OSError):
            super().close()


class TemporaryScratch:
    """Implements the port `Scratch` in one directory; empty is the system's own for temporary files.

    Whatever takes long goes through temporary files piece by piece, so that each use of one is a sign of life: who
    waits for a part that does not answer uses none.

    Args:
        directory: Where the files are made.
        alive: Called at each use, by any thread.

    Raises:
        ConfigError: files cannot be made there, and no waiting will mend it.

    Attributes:
        directory: Where they are made.
    """

    def __init__(self, directory: str, alive: Alive = lambda: None) -> None:
        self.directory = directory or tempfile.gettempdir()
        self._alive = alive
        try:
            tempfile.TemporaryFile(dir=self.directory).close()
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise ConfigError(
                f"temporary files cannot be made ({error.strerror})",
                where=self.directory,
                remedy="make the directory, or set [scratch] directory to one that may be written",
            ) from error
        except OSError:
            return  # a full disk may have room again

    def spooled(self) -> IO[bytes]:
        """See `scratch.Scratch.spooled`."""
        self._alive()
        return _SpooledFile(self.directory, self._alive)

    def open(self) -> TemporaryScratchFile:
        """See `scratch.Scratch.open`."""
        with _translated(self.directory):
            return TemporaryScratchFile(
                tempfile.TemporaryFile(buffering=_BUFFER_OCTETS, dir=self.directory), self.directory, self._alive
            )


class TemporaryScratchFile:
    """Implements the port `ScratchFile`."""

    def __init__(self, file: IO[bytes], directory: str, alive: Alive) -> None:
        self._file = file
        self._alive = alive
        self._directory = directory
        self._end = 0
        self._is_at_end = True
        # Also when whoever held it failed before: at once, not when Python comes to think of it.
        self._closing = weakref.finalize(self, _close, file)

    def append(self, octets: bytes | pa.Buffer) -> int:
        """See `scratch.ScratchFile.append`."""
        self._alive()
        begin = self._end
        with _translated(self._directory):
            if not self._is_at_end:
                self._file.seek(begin)
                self._is_at_end = True
            self._file.write(octets)
        self._end += len(octets) if isinstance(octets, bytes) else octets.size
        return begin

    def read(self, offset: int, length: int) -> bytes:
        """See `scratch.ScratchFile.read`."""
        self._alive()
        with _translated(self._directory):
            self._is_at_end = False
            self._file.seek(offset)
            return self._file.read(length)

    def truncate(self, length: int) -> None:
        """See `scratch.ScratchFile.truncate`."""
        with _translated(self._directory):
            self._file.seek(length)
            self._file.truncate()
        self._end, self._is_at_end = length, True

    def close(self) -> None:
        """See `scratch.ScratchFile.close`."""
        self._closing()
