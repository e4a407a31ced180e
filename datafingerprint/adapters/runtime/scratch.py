"""Unnamed temporary files, which the system removes with the process, even after kill -9."""

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

OnUse = Callable[[], object]
"""Called at each use of a file: the service is making progress."""

_BUFFER_BYTES = 1 << 20

_SPOOLED_BYTES_MAX = 1 << 20
"""Size up to which a spooled file stays in memory."""


@contextlib.contextmanager
def _translated(directory: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            f"a temporary file cannot be used ({error.strerror})",
            where=directory,
            remedy="free space there, or set [scratch] directory to a larger disk",
        ) from error


def _close(file: IO[bytes]) -> None:
    # Flushing the rest of the buffer may fail on a full disk; its content is not needed.
    with contextlib.suppress(OSError):
        file.close()


class _SpooledFile(tempfile.SpooledTemporaryFile[bytes]):
    """A file in memory until it is long. Only then it uses the directory, which may fail."""

    def __init__(self, directory: str, on_use: OnUse) -> None:
        super().__init__(_SPOOLED_BYTES_MAX, dir=directory)
        self._directory = directory
        self._on_use = on_use

    def write(self, data: ReadableBuffer) -> int:
        self._on_use()
        with _translated(self._directory):
            return super().write(data)

    def read(self, *size: int) -> bytes:
        self._on_use()
        with _translated(self._directory):
            return super().read(*size)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        # As in `_close`; an error here would also hide the error before it.
        with contextlib.suppress(OSError):
            super().close()


class TemporaryScratch:
    """Implements the port `Scratch` in one directory.

    Every long step moves its data through temporary files piece by piece, so each use of a file shows progress. A
    service that waits for a silent component uses none.

    Args:
        directory: The directory of the files; empty means the system's.
        on_use: Called at each use, by any thread.

    Raises:
        ConfigError: files cannot be created there, and waiting cannot help.

    Attributes:
        directory: The directory of the files.
    """

    def __init__(self, directory: str, on_use: OnUse = lambda: None) -> None:
        self.directory = directory or tempfile.gettempdir()
        self._on_use = on_use
        try:
            tempfile.TemporaryFile(dir=self.directory).close()
        except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
            raise ConfigError(
                f"temporary files cannot be created ({error.strerror})",
                where=self.directory,
                remedy="create the directory, or set [scratch] directory to a writable one",
            ) from error
        except OSError:
            return  # a full disk may get free space again

    def spooled(self) -> IO[bytes]:
        """See `scratch.Scratch.spooled`."""
        self._on_use()
        return _SpooledFile(self.directory, self._on_use)

    def open(self) -> TemporaryScratchFile:
        """See `scratch.Scratch.open`."""
        with _translated(self.directory):
            return TemporaryScratchFile(
                tempfile.TemporaryFile(buffering=_BUFFER_BYTES, dir=self.directory), self.directory, self._on_use
            )


class TemporaryScratchFile:
    """Implements the port `ScratchFile`."""

    def __init__(self, file: IO[bytes], directory: str, on_use: OnUse) -> None:
        self._file = file
        self._on_use = on_use
        self._directory = directory
        self._end = 0
        self._is_at_end = True
        # Closes the file as soon as its last owner is gone, also after an error, not at a later garbage collection.
        self._closing = weakref.finalize(self, _close, file)

    def append(self, data: bytes | pa.Buffer) -> int:
        """See `scratch.ScratchFile.append`."""
        self._on_use()
        begin = self._end
        with _translated(self._directory):
            if not self._is_at_end:
                self._file.seek(begin)
                self._is_at_end = True
            self._file.write(data)
        self._end += len(data) if isinstance(data, bytes) else data.size
        return begin

    def read(self, offset: int, length: int) -> bytes:
        """See `scratch.ScratchFile.read`."""
        self._on_use()
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
