"""Loads one file of an export, in a session as the file sets it, from the insert on that is not loaded yet.

1. The file is read as a whole, so that nothing of one that cannot be loaded is.
2. It is read again and run in its order. Inserts gather into transactions of some megabytes, each with a note of how
   many of the file are done; tables are made, and the session is set, between these.

A load that was interrupted sets the session anew, passes over the inserts that are done, and goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from datafingerprint.errors import ConfigError, Stop
from services.generator.export import Kind, Part
from services.generator.files import parts_of
from services.generator.inserts import fitted, sized
from services.generator.ports import Warehouse
from services.generator.progress import PROGRESS, begin, note, table_names
from services.generator.statements import Statement

TRANSACTION_OCTETS = 4_000_000  # of text; about 40,000 rows of a box score
_AT_ONCE = 1_000  # statements between two looks at whether to stop
_OTHER_QUOTES = ("ANSI_QUOTES", "NO_BACKSLASH_ESCAPES")
_OF_THE_SERVER = ("sql_mode", "time_zone", "foreign_key_checks")
_ALL_WARNINGS = "SET SESSION max_error_count = 65535"
_USUAL_WARNINGS = "SET SESSION max_error_count = @@GLOBAL.max_error_count"


@dataclass
class FileLoad:
    """The load of one file.

    Attributes:
        warehouse: Where to.
        path: The file.
        done: How many of its inserts are loaded.
        is_new: Whether nothing of it was begun.
        is_stopping: Asked now and then whether to stop; what is committed stays.
    """

    warehouse: Warehouse
    path: Path
    done: int
    is_new: bool
    is_stopping: Callable[[], bool]
    rows: int = 0
    _packet_octets: int = 0
    _settings: list[Part] = field(default_factory=list)
    _chunk: list[Part] = field(default_factory=list)
    _size: int = 0

    def run(self) -> bool:
        """Loads the file; answers whether it is loaded to its end.

        Raises:
            ConfigError: it cannot be loaded; with file, line and reason.
        """
        ((self._packet_octets,),) = self.warehouse.query(Statement("SELECT @@max_allowed_packet"))
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
                self._gather(part)
        self._flush()
        self.warehouse.transact([note(self.path.name, self.done, complete=True)])
        leave_session(self.warehouse)
        return True

    def _is_sound(self, made: set[str]) -> bool:
        """Reads the file to its end before anything of it is run; False when told to stop meanwhile."""
        here: set[str] = set()
        for number, part in enumerate(parts_of(self.path)):
            if number % _AT_ONCE == 0 and self.is_stopping():
                return False
            self._require_own_table(part, here, made)
            for _ in fitted(part, self._packet_octets, str(self.path)):
                pass
            if part.kind is Kind.CREATE:
                here.add(part.table)
        return True

    def _require_own_table(self, part: Part, here: set[str], made: set[str]) -> None:
        """A table of another file is neither dropped nor taken for the one that this file makes."""
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
        """Makes a table that is not there, or sets the session."""
        if part.kind is Kind.SET:
            self._run([part])
            self._settings.append(part)
        elif part.kind is Kind.CREATE and part.table not in made:
            self._run([part])
            made.add(part.table)

    def _gather(self, part: Part) -> None:
        self._chunk.append(part)
        self._size += len(part.sql)
        if self._size >= TRANSACTION_OCTETS:
            self._flush()

    def _flush(self) -> None:
        """Commits the inserts that have gathered, with the note that tells of them."""
        if not self._chunk:
            return
        done = self.done + len(self._chunk)
        self.rows += self._run(self._chunk, note(self.path.name, done, complete=False)) - 1
        self.done, self._chunk, self._size = done, [], 0

    def _run(self, chunk: list[Part], *notes: Statement) -> int:
        """Runs statements of the file as one transaction; answers the rows that changed.

        When the server refuses one, they are run again one by one, to name the line.
        """
        where = str(self.path)
        whole = sized(chunk, self._packet_octets, where) if chunk[0].kind is Kind.INSERT else iter(chunk)
        try:
            return self.warehouse.transact([*map(_told, whole), *notes])
        except Stop:
            self.warehouse.connect()
            self._set_session()
        line = chunk[0].line

        def one_by_one() -> Iterator[Statement]:
            nonlocal line
            for part in chunk:
                line = part.line
                yield from map(_told, fitted(part, self._packet_octets, where))
            yield from notes

        try:
            return self.warehouse.transact(one_by_one())
        except Stop as error:
            raise ConfigError(
                f"the server refuses a statement of a seed file ({error.what})",
                where=f"{where} line {line}",
                remedy="mend the file and start again; what was loaded before it stays",
            ) from error

    def _set_session(self) -> None:
        """The session that the file begins with, and what the file has set so far.

        That is the server's own, but for what would read quotes otherwise than the file was cut by.
        """
        ((modes,),) = self.warehouse.query(Statement("SELECT @@GLOBAL.sql_mode"))
        usual = ",".join(mode for mode in str(modes).split(",") if mode not in _OTHER_QUOTES)
        first = Statement("SET SESSION sql_mode = %s", (usual,))
        settings = (Statement(part.sql) for part in self._settings)
        self.warehouse.transact([first, *_warnings(self.warehouse, _ALL_WARNINGS), *settings])


def leave_session(warehouse: Warehouse) -> None:
    """Puts the session back to what the server gives to everybody."""
    values = ", ".join(f"SESSION {name} = @@GLOBAL.{name}" for name in _OF_THE_SERVER)
    warehouse.transact([Statement(f"SET {values}"), *_warnings(warehouse, _USUAL_WARNINGS)])


def _warnings(warehouse: Warehouse, sql: str) -> list[Statement]:
    """What sets how many warnings the server tells; MySQL wants a privilege for it, and tells 1,024."""
    ((version,),) = warehouse.query(Statement("SELECT VERSION()"))
    return [Statement(sql)] if "mariadb" in str(version).lower() else []


def _told(part: Part) -> Statement:
    return Statement(part.sql, keeps_values=part.kind is Kind.INSERT)
