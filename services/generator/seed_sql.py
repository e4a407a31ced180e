"""Writes `sql/mysql/seed`: the league as it stands on the first day of the 2031 season.

Run `python -m services.generator.seed_sql` after a change to the simulation; a test compares the files with
what this writes.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable, Iterator
from pathlib import Path

from services.generator.box import game_changes
from services.generator.founding import first_players, first_teams, league_row, player_row, team_row
from services.generator.game import play
from services.generator.league import League, standings
from services.generator.names import LEAGUES
from services.generator.rows import Insert, Row, Update, Value
from services.generator.season import FIRST_SEASON, schedule, teams_by_league, unplayed_row
from services.generator.tables import BY_NAME, TABLES, Table

SEED_FOLDER = Path(__file__).parents[2] / "sql" / "mysql" / "seed"
FIRST_ROUNDS = 2  # of the 2030 season: ten days, sixty games
ROWS_OF_AN_INSERT = 200
END_OF_STATEMENT = ";\n"  # no value holds a line break, so this ends a statement and nothing else


def seed_file(table: str) -> Path:
    """Where a table's seed lies."""
    return SEED_FOLDER / f"{table}.mysql.sql"


def seed_rows() -> dict[str, list[Row]]:
    """All rows of the seed, by table."""
    rows: dict[str, list[Row]] = {table.name: [] for table in TABLES}
    season = FIRST_SEASON + 1
    league = League(FIRST_SEASON, first_players(), first_teams(), ())
    leagues = teams_by_league(league.records.values())
    rows["leagues"] = [league_row(league_id, season) for league_id in leagues]
    names = [name for _, known in sorted(LEAGUES.items()) for name in known.teams]
    rows["teams"] = [team_row(record, name) for record, name in zip(league.records.values(), names, strict=True)]
    today = dt.date(season, 4, 1)
    rows["players"] = [
        player_row(player, random.Random(f"player:{player.player_id}"), today, drafted=False)
        for player in league.players.values()
    ]
    _play_first_season(league, rows)
    rows["games"] += [unplayed_row(game) for game in schedule(season, leagues)]
    for teams in leagues.values():
        table = standings(league.records[team_id] for team_id in teams)
        rows["team_record"] += [(team_id, *table[team_id].values(), None) for team_id in teams]
    return rows


def _play_first_season(league: League, rows: dict[str, list[Row]]) -> None:
    """Plays 2030 without any events; its standings are gone by the first day of 2031."""
    games = schedule(FIRST_SEASON, teams_by_league(league.records.values()), FIRST_ROUNDS)
    league = league.with_schedule(games)
    for game in games:
        rng = random.Random(f"{FIRST_SEASON}:{game.game_id}")
        counts = {team_id: record.games for team_id, record in league.records.items()}
        changes, league = game_changes(play(game, league.rosters, counts, rng), league, rng)
        for change in changes:
            if isinstance(change, Insert):
                rows[change.table] += change.rows
            elif isinstance(change, Update) and change.table == "games":
                known = dict(zip(BY_NAME["games"].column_names, unplayed_row(game), strict=True))
                filled = {name: value for name, value in change.values.items() if not hasattr(value, "by")}
                rows["games"].append(tuple({**known, **filled}.values()))


def file_text(table: Table, rows: Iterable[Row]) -> str:
    """A table's file: `CREATE TABLE` in the export's manner, then its rows."""
    return create_table(table) + "".join(_inserts(table, list(rows)))


def create_table(table: Table) -> str:
    """The statement that makes a table; one that is there already is left alone."""
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
    """A value as SQL; a double with an exponent, or the server would take it for a decimal."""
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
