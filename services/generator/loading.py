"""Loads one file of an export, with the session that it sets, from its first pending insert.

1. The whole file is checked, so that an invalid file is not loaded in part.
2. It is read again and run in order. Inserts are collected into transactions of some megabytes, each with a note of how
   many are done. Between them tables are made and the session is set.

A load that was interrupted sets the session again, skips the inserts that are done, and continues.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from datafingerprint.errors import ConfigError, Stop
from datafingerprint.sql.mysql_session import WRITING, WRITING_MODE
from services.generator.export import Kind, Part
from services.generator.files import parts_of
from services.generator.inserts import fitted, sized
from services.generator.ports import Warehouse
from services.generator.progress import PROGRESS, begin, note, table_names
from services.generator.statements import Statement

TRANSACTION_CHARACTERS = 4_000_000  # about 40,000 rows of a box score
_AT_ONCE = 1_000  # statements between two checks of whether to stop
_BEGINNING = (
    Statement(WRITING_MODE),
    Statement(
        "SET SESSION time_zone = %s, foreign_key_checks = %s", (WRITING["time_zone"], WRITING["foreign_key_checks"])
    ),
)
"""The session at the start of every file: the settings that a file may change, from `sql.mysql_session`."""


@dataclass
class FileLoad:
    """The load of one file.

    Attributes:
        warehouse: Receives the rows.
        path: The file.
        done: How many of its inserts are loaded.
        is_new: Whether no load of it has started.
        is_stopping: Whether to stop. Committed rows stay.
    """

    warehouse: Warehouse
    path: Path
    done: int
    is_new: bool
    is_stopping: Callable[[], bool]
    rows: int = 0
    _packet_bytes: int = 0
    _settings: list[Part] = field(default_factory=list)
    _chunk: list[Part] = field(default_factory=list)
    _size: int = 0

    def run(self) -> bool:
        """Loads the file. Returns whether it is loaded completely.

        Raises:
            ConfigError: the file cannot be loaded. The error has file, line and reason.
        """
        ((self._packet_bytes,),) = self.warehouse.query(Statement("SELECT @@max_allowed_packet"))
        made = set(table_names(self.warehouse))
        if not self._is_sound(made if self.is_new else set()):
            return False
        if self.is_new:
            self.warehouse.transact([begin(self.path.name)])
        self._set_session()
        seen = 0
        for number, part in enumerate(parts_of(self.path)):
            if number % _AT_ONCE == 0 and self.is_stopping():
                return False
            seen += part.kind is Kind.INSERT
            if part.kind is not Kind.INSERT:
                self._flush()
                self._prepare(part, made)
            elif seen > self.done + len(self._chunk):
                self._collect(part)
        self._flush()
        self.warehouse.transact([note(self.path.name, self.done, complete=True)])
        leave_session(self.warehouse)
        return True

    def _is_sound(self, made: set[str]) -> bool:
        """Checks the whole file before anything of it is run. Returns False if stopped."""
        here: set[str] = set()
        for number, part in enumerate(parts_of(self.path)):
            if number % _AT_ONCE == 0 and self.is_stopping():
                return False
            self._require_own_table(part, here, made)
            for _ in fitted(part, self._packet_bytes, str(self.path)):
                pass
            if part.kind is Kind.CREATE:
                here.add(part.table)
        return True

    def _require_own_table(self, part: Part, here: set[str], made: set[str]) -> None:
        """Requires that the file neither drops nor makes a table of another file."""
        if part.table == PROGRESS:
            what = f"{PROGRESS} is the generator's own table"
            remedy = "leave it out of the export (mysqldump: --ignore-table)"
        elif part.table in here | made and (
            part.kind is Kind.DROP or (part.kind is Kind.CREATE and not part.unless_there)
        ):
            by = "before in this file" if part.table in here else "by another file of the export"
            what = f"a statement {part.kind.value} that is there already: {part.table} was made {by}"
            remedy = "have one file make it once, then start again; what was loaded before stays"
        else:
            return
        raise ConfigError(what, where=f"{self.path} line {part.line}", remedy=remedy)

    def _prepare(self, part: Part, made: set[str]) -> None:
        """Makes a missing table, or sets the session."""
        if part.kind is Kind.SET:
            self._run([part])
            self._settings.append(part)
        elif part.kind is Kind.CREATE and part.table not in made:
            self._run([part])
            made.add(part.table)

    def _collect(self, part: Part) -> None:
        self._chunk.append(part)
        self._size += len(part.sql)
        if self._size >= TRANSACTION_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        """Commits the collected inserts, with the note of them."""
        if not self._chunk:
            return
        done = self.done + len(self._chunk)
        self.rows += self._run(self._chunk, note(self.path.name, done, complete=False)) - 1
        self.done, self._chunk, self._size = done, [], 0

    def _run(self, chunk: list[Part], *notes: Statement) -> int:
        """Runs statements of the file as one transaction. Returns the number of changed rows.

        If the server refuses one, they are run again one by one, to find its line.
        """
        where = str(self.path)
        whole = sized(chunk, self._packet_bytes, where) if chunk[0].kind is Kind.INSERT else iter(chunk)
        try:
            return self.warehouse.transact([*map(_statement, whole), *notes])
        except Stop:
            self.warehouse.connect()
            self._set_session()
        line = chunk[0].line

        def one_by_one() -> Iterator[Statement]:
            nonlocal line
            for part in chunk:
                line = part.line
                yield from map(_statement, fitted(part, self._packet_bytes, where))
            yield from notes

        try:
            return self.warehouse.transact(one_by_one())
        except Stop as error:
            raise ConfigError(
                f"the server refuses a statement of a seed file ({error.what})",
                where=f"{where} line {line}",
                remedy="fix the file and start again; what was loaded before it stays",
            ) from error

    def _set_session(self) -> None:
        """Sets the session to the start of every file, and then as this file has set it so far."""
        settings = (Statement(part.sql) for part in self._settings)
        self.warehouse.transact([*_BEGINNING, *settings])


def leave_session(warehouse: Warehouse) -> None:
    """Resets the session to what it was before the file."""
    warehouse.transact(_BEGINNING)


def _statement(part: Part) -> Statement:
    return Statement(part.sql, keeps_values=part.kind is Kind.INSERT)
