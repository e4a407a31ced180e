"""The seed files are what the script writes, hold the awkward values, and stay small."""

from __future__ import annotations

from services.generator.seed_sql import END_OF_STATEMENT, SEED_FOLDER, seed_files, seed_rows
from services.generator.tables import BY_NAME, LEAGUES, TABLES


def test_the_files_are_those_that_the_script_writes() -> None:
    written = {path: path.read_text(encoding="utf-8") for path in SEED_FOLDER.glob("*.sql")}
    assert written == seed_files()


def test_the_files_are_small() -> None:
    assert sum(path.stat().st_size for path in SEED_FOLDER.iterdir()) < 3_500_000


def test_tables_are_those_of_the_export() -> None:
    assert [(table.name, len(table.columns), table.key) for table in TABLES] == [
        ("leagues", 163, ("league_id",)),
        ("sub_leagues", 6, ("league_id", "sub_league_id")),
        ("divisions", 5, ("league_id", "sub_league_id", "division_id")),
        ("parks", 93, ("park_id",)),
        ("teams", 27, ("team_id",)),
        ("players", 116, ()),
        ("games", 21, ("game_id",)),
        ("games_score", 4, ("game_id", "team", "inning")),
        ("players_game_batting", 32, ()),
        ("players_game_pitching_stats", 56, ()),
        ("players_at_bat_batting_stats", 25, ()),
        ("players_career_batting_stats", 33, ()),
        ("players_career_pitching_stats", 58, ()),
        ("players_injury_history", 7, ()),
        ("trade_history", 49, ()),
        ("league_events", 8, ()),
        ("messages", 31, ("message_id",)),
        ("team_batting_stats", 38, ("team_id",)),
        ("team_pitching_stats", 70, ("team_id",)),
        ("team_record", 10, ("team_id",)),
    ]
    assert "current_date" in LEAGUES.column_names


def test_the_league_has_two_leagues_thirty_teams_and_twelve_hundred_players() -> None:
    sizes = {name: len(rows) for name, rows in seed_rows().items()}
    assert (sizes["leagues"], sizes["teams"], sizes["parks"], sizes["divisions"]) == (2, 30, 30, 6)
    assert sizes["players"] == 1200
    assert sizes["games"] > 2250
    assert all(sizes.values())


def test_rows_fit_their_tables_and_hold_the_awkward_values() -> None:
    rows = seed_rows()
    for name, table_rows in rows.items():
        assert table_rows
        assert {len(row) for row in table_rows} == {len(BY_NAME[name].columns)}
    values = {value for table_rows in rows.values() for row in table_rows for value in row}
    assert {None, "", "陳", "Šimůnek", "José", 0.1 + 0.2, 1 / 3} <= values
    assert any(isinstance(value, int) and value < 0 for value in values)


def test_no_value_holds_what_ends_a_statement() -> None:
    texts = {v for rows in seed_rows().values() for row in rows for v in row if isinstance(v, str)}
    assert not any(END_OF_STATEMENT in text or "\n" in text for text in texts)
