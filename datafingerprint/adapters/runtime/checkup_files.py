"""Checks a SQLite file for `datafingerprint doctor` without opening, and so creating, it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from datafingerprint.checkup import CheckResult, Component


def database_file(url: str) -> Path | None:
    """The file of a SQLite database; None if the URL names another database or none."""
    with contextlib.suppress(ArgumentError):
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database and parsed.database != ":memory:":
            return Path(parsed.database)
    return None


def is_to_be_made(file: Path | None) -> bool:
    """Whether the database file does not exist yet or is empty."""
    return file is not None and not (_exists(file) and file.stat().st_size)


def made_later(part: Component, file: Path, maker: str) -> Iterator[CheckResult]:
    """The results for a database file that does not exist yet."""
    yield part.ok("reachable", f"{file} does not exist yet: {maker} creates it")
    yield from written(part, file)


def written(part: Component, file: Path | None) -> Iterator[CheckResult]:
    """Names a file or directory that this account may not write. A service may run as another."""
    if file is None:
        return
    folder = next(parent for parent in file.absolute().parents if _exists(parent))
    if not folder.is_dir():
        yield part.problem("privileges", f"{folder} is not a directory", "name another file in its URL")
        return
    for path in (file, folder):
        if _exists(path) and not os.access(path, os.W_OK):
            yield part.problem("privileges", f"{path} may not be written", f"give {path} to the services' account")
            return


def _exists(path: Path) -> bool:
    """Whether a path is visible. `Path.exists` raises if a directory above may not be entered."""
    return os.path.exists(path)  # noqa: PTH110 - see the docstring
