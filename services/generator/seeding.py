"""Loads an export's files into an empty schema, and finishes a load that was interrupted.

A file is read twice: first as a whole, so that nothing of one that cannot be read is loaded, and its tables are made;
then its inserts are run in transactions of some megabytes, each with a note of how many of the file are done.
So a load goes on where it was interrupted, and a table that somebody empties later stays empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from datafingerprint.errors import ConfigError, SourceError, Stop
from services.generator.export import Part, merged, parts
from services.generator.ports import Warehouse
from services.generator.progress import PROGRESS, begin, create_progress, note, read_progress, table_names
from services.generator.statements import Statement

Progress = Callable[[str, int], None]
ALL_FILES = "all files"
STATEMENT_OCTETS = 500_000  # far below any max_allowed_packet
TRANSACTION_OCTETS = 4_000_000  # of text; about 40,000 rows of a box score


def ensure_seed(warehouse: Warehouse, folder: Path, progress: Progress) -> None:
    """Loads what is missing of an export.

    Args:
        warehouse: Where to.
        folder: Where its `*.sql` files lie.
        progress: Told the file and its rows after each.

    Raises:
        SourceError: the schema holds tables that were not loaded by the generator, or from other files.
        ConfigError: a file is missing or cannot be read as an export; with file, line and reason.
    """
    _own(warehouse)
    known = read_progress(warehouse)
    if known.get(ALL_FILES, (0, False))[1]:
        return
    files = _files(folder)
    for path in files:
        done, complete = known.get(path.name, (0, False))
        if not complete:
            rows = _load(warehouse, path, done, is_new=path.name not in known)
            progress(path.name, rows)
    warehouse.transact([begin(ALL_FILES), note(ALL_FILES, len(files), complete=True)])


def _own(warehouse: Warehouse) -> None:
    """Takes an empty schema; one with somebody else's tables is refused."""
    tables = table_names(warehouse)
    if PROGRESS in tables:
        return
    if tables:
        raise SourceError(
            f"the schema holds tables that the generator did not load, such as {min(tables)}",
            where="the generator's schema",
            remedy="name an empty or new one as generator.schema_name; nothing was written",
        )
    create_progress(warehouse)


def _files(folder: Path) -> list[Path]:
    found = sorted(folder.glob("*.sql"))
    if not found:
        raise ConfigError(
            "there are no .sql files", where=str(folder), remedy="name the folder of an export with --seed-dir"
        )
    return found


def _load(warehouse: Warehouse, path: Path, done: int, *, is_new: bool) -> int:
    """Loads a file from a statement on; answers how many rows that were."""
    # Read to its end before anything of it is run.
    creates = [part for part in _parts(path) if not part.is_insert]
    made = table_names(warehouse)
    for part in creates:
        if part.table not in made:
            _run(warehouse, path, [part])
    if is_new:
        warehouse.transact([begin(path.name)])
    rows = 0
    for chunk in _chunks(islice((part for part in _parts(path) if part.is_insert), done, None)):
        done += len(chunk)
        rows += _run(warehouse, path, chunk, note(path.name, done, complete=False)) - 1
    warehouse.transact([note(path.name, done, complete=True)])
    return rows


def _chunks(inserts: Iterator[Part]) -> Iterator[list[Part]]:
    chunk: list[Part] = []
    size = 0
    for part in inserts:
        chunk.append(part)
        size += len(part.sql)
        if size >= TRANSACTION_OCTETS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _run(warehouse: Warehouse, path: Path, chunk: list[Part], *notes: Statement) -> int:
    """Runs statements of a file as one transaction; answers the rows that changed.

    When the server refuses one, they are run again one by one, to name the line.
    """
    try:
        return warehouse.transact([*(Statement(part.sql) for part in _whole(chunk)), *notes])
    except Stop:
        warehouse.connect()
    line = chunk[0].line

    def one_by_one() -> Iterator[Statement]:
        nonlocal line
        for part in chunk:
            line = part.line
            yield Statement(part.sql)
        yield from notes

    try:
        return warehouse.transact(one_by_one())
    except Stop as error:
        raise ConfigError(
            f"the server refuses a statement of a seed file ({error.what})",
            where=f"{path} line {line}",
            remedy="mend the file and start again; what was loaded before it stays",
        ) from error


def _whole(chunk: list[Part]) -> Iterator[Part]:
    return merged(chunk, STATEMENT_OCTETS) if chunk[0].is_insert else iter(chunk)


def _parts(path: Path) -> Iterator[Part]:
    line = 0

    def lines() -> Iterator[str]:
        nonlocal line
        with path.open("rb") as file:
            for octets in file:
                line += 1
                yield octets.decode("utf-8").replace("\r\n", "\n")

    try:
        yield from parts(lines(), str(path))
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"not UTF-8 ({error.reason})", where=f"{path} line {line}", remedy="write the export anew in UTF-8"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"cannot read a seed file ({error.strerror})", where=str(path), remedy="let the generator read it"
        ) from None
