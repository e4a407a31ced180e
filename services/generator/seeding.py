"""Loads an export's files into an empty schema, and finishes a load that was interrupted.

A table of the generator's own (`progress`) lists the files that are loaded. So a load continues where it was
interrupted, and a table that is emptied later stays empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from datafingerprint.errors import SourceError
from services.generator.files import export_files
from services.generator.loading import FileLoad
from services.generator.ports import Warehouse
from services.generator.progress import PROGRESS, begin, create_progress, note, read_progress, table_names

Progress = Callable[[str, int], None]
ALL_FILES = "all files"


def ensure_seed(
    warehouse: Warehouse,
    folder: Path | None,
    progress: Progress,
    *,
    otherwise: Path,
    is_stopping: Callable[[], bool] = lambda: False,
) -> bool:
    """Loads the missing files of an export. Returns whether all of it is loaded.

    Args:
        warehouse: Receives the rows.
        folder: Folder of the `*.sql` files. None accepts any export that is loaded.
        progress: Called with each file and its number of rows.
        otherwise: Folder of the export to load if none is given and none is loaded.
        is_stopping: Whether to stop. If so, the result is False.

    Raises:
        SourceError: the schema holds tables that the generator did not load, or that are from other files.
        ConfigError: a file is missing or is not an export. The error has file, line and reason.
    """
    files = export_files(folder or otherwise)
    _own(warehouse)
    known = read_progress(warehouse)
    is_loaded = known.get(ALL_FILES, (0, False))[1]
    _require_these_files(known, files, is_loaded=is_loaded, is_named=folder is not None)
    if is_loaded:
        return True
    for path in files:
        done, complete = known.get(path.name, (0, False))
        if complete:
            continue
        load = FileLoad(warehouse, path, done, path.name not in known, is_stopping)
        if not load.run():
            return False
        progress(path.name, load.rows)
    warehouse.transact([begin(ALL_FILES), note(ALL_FILES, len(files), complete=True)])
    return True


def _own(warehouse: Warehouse) -> None:
    """Claims an empty schema. A schema with other tables is refused."""
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


def _require_these_files(
    known: Mapping[str, tuple[int, bool]], files: list[Path], *, is_loaded: bool, is_named: bool
) -> None:
    """Requires the files of one export: no other export is mixed with it or silently skipped."""
    names = {path.name for path in files}
    if is_loaded:
        strange = sorted(names - known.keys()) if is_named else []
        remedy = "name an empty schema as generator.schema_name, or leave --seed-dir out to play what is there"
    else:
        strange = sorted(known.keys() - names)
        remedy = "name the folder of the first load by --seed-dir, or drop the schema"
    if strange:
        state = "holds another export" if is_loaded else "holds a part of another export"
        which = "has no" if is_loaded else "came from"
        raise SourceError(f"the schema {state}: it {which} {strange[0]}", where="the generator's schema", remedy=remedy)
