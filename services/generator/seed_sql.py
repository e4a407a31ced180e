"""Writes `sql/mysql/seed`: the league on the first day of the 2031 season.

Run `python -m services.generator.seed_sql` after a change to the simulation; a test compares the files with
what this writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from services.generator.day import dice, play_day
from services.generator.events import kind_of
from services.generator.founding import first_players, first_teams, founding_changes
from services.generator.league import League
from services.generator.numbers import FIRST_SEASON
from services.generator.reading import read_archive
from services.generator.rows import Row, Value
from services.generator.season import ROUNDS, new_season
from services.generator.store import Store
from services.generator.tables import TABLES, Table

_INSTALLED_SEED = Path(__file__).parent / "seed"
_CHECKOUT_SEED = Path(__file__).parents[2] / "sql" / "mysql" / "seed"
SEED_FOLDER = _INSTALLED_SEED if _INSTALLED_SEED.is_dir() else _CHECKOUT_SEED
"""The wheel has the seed inside the package; a checkout has it in `sql`."""

SEED = 2030  # of the first season; the seasons that are played have their own
FIRST_ROUNDS = 1  # of the first season: fifteen days, 210 games
ROWS_OF_AN_INSERT = 200
END_OF_STATEMENT = ";\n"  # no value holds a line break, so this ends a statement and nothing else


def seed_file(table: str) -> Path:
    """Path of a table's seed."""
    return SEED_FOLDER / f"{table}.mysql.sql"


def seed_rows() -> dict[str, list[Row]]:
    """All rows of the seed by table: of a league that has played its first season."""
    store, league = founded()
    season = league.season
    while season == league.season:
        league = play_next(store, league, SEED)
    return {table.name: store.rows(table.name) for table in TABLES}


def founded(rounds: int = FIRST_ROUNDS, season: int = FIRST_SEASON) -> tuple[Store, League]:
    """A store with a league on the first day of its first season."""
    store = Store()
    store.apply(founding_changes(season))
    unplayed = League(season - 1, first_players(), first_teams(), ())
    changes, league = new_season(unplayed, rounds)
    store.apply(changes)
    return store, league


def play_next(store: Store, league: League, seed: int, rounds: int = ROUNDS) -> League:
    """Plays the next game of a league in a store, or opens its next season."""
    if not league.schedule:
        changes, league = new_season(league, rounds)
        store.apply(changes)
        return league
    game = league.schedule[0]
    event = kind_of(game.game_id)
    archive = None
    if event is not None:
        archive = read_archive(store.select, event, game, dice(seed, game, "archive"), league.numbers)
    day = play_day(seed, game, league, archive)
    store.apply(day.changes)
    return day.league


def file_text(table: Table, rows: Iterable[Row]) -> str:
    """A table's file: `CREATE TABLE` as in the export, then its rows."""
    return create_table(table) + "".join(_inserts(table, list(rows)))


def create_table(table: Table) -> str:
    """The statement that makes a table if it does not exist."""
    lines = [
        f"  `{column.name}` {column.type} {'DEFAULT NULL' if column.nullable else 'NOT NULL'}"
        for column in table.columns
    ]
    if table.key:
        lines.append(f"  PRIMARY KEY ({', '.join(f'`{name}`' for name in table.key)})")
    body = ",\n".join(lines)
    end = ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
    return f"CREATE TABLE IF NOT EXISTS `{table.name}` (\n{body}\n{end}{END_OF_STATEMENT}"


def _inserts(table: Table, rows: list[Row]) -> Iterator[str]:
    for start in range(0, len(rows), ROWS_OF_AN_INSERT):
        part = rows[start : start + ROWS_OF_AN_INSERT]
        values = ",\n".join("(" + ",".join(_literal(value) for value in row) + ")" for row in part)
        yield f"INSERT INTO `{table.name}` VALUES\n{values}{END_OF_STATEMENT}"


def _literal(value: Value) -> str:
    """A value as SQL. A double has an exponent, because the server would read it as a decimal."""
    if value is None:
        return "NULL"
    if isinstance(value, float):
        text = repr(value)
        return text if "e" in text else text + "e0"
    if isinstance(value, int):
        return str(value)
    text = value if isinstance(value, str) else value.isoformat()
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def seed_files() -> dict[Path, str]:
    """Every file of the seed and its text."""
    rows = seed_rows()
    return {seed_file(table.name): file_text(table, rows[table.name]) for table in TABLES}


def main() -> None:
    """Writes the files."""
    SEED_FOLDER.mkdir(parents=True, exist_ok=True)
    for path, text in seed_files().items():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
