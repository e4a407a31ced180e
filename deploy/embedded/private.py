"""Files and folders for their owner only, and folders short enough for a unix socket."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

# A unix socket's path holds at most 107 bytes on Linux; some is left for the file's own name.
SOCKET_FOLDER_BYTES_MAX = 80
OWNER_ONLY_FOLDER = 0o700
OWNER_ONLY_FILE = 0o600


def write_private(path: Path, text: str) -> None:
    """Writes a file that only the owner can read, from its creation on."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY_FILE), "w") as file:
        file.write(text)


def make_private(folder: Path) -> Path:
    """Creates the folder for its owner alone."""
    folder.mkdir(parents=True, exist_ok=True, mode=OWNER_ONLY_FOLDER)
    return folder


def socket_folder(directory: Path) -> Path:
    """The folder for sockets: in the data directory, or elsewhere if its path is too long.

    A directory always has the same folder, so that every command finds the running servers.
    """
    near = directory.resolve() / "sockets"
    if len(os.fsencode(near)) <= SOCKET_FOLDER_BYTES_MAX:
        return near
    digest = hashlib.sha256(os.fsencode(near)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"dfp-{os.getuid()}-{digest}"


def make_socket_folder(folder: Path) -> None:
    """Creates the folder.

    Raises:
        PermissionError: another account owns the folder; its parent is shared, so this may be an attack.
    """
    make_private(folder)
    facts = folder.lstat()
    if folder.is_symlink() or facts.st_uid != os.getuid() or facts.st_mode & 0o077:
        raise PermissionError(f"{folder} is not ours alone: remove it")
