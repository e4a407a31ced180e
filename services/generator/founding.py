"""The league on its first day: made-up leagues, teams and players, the same every time."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable

from services.generator.league import PITCHER, Player, Record
from services.generator.names import FIRST_NAMES, LAST_NAMES, LEAGUES, NICK_NAMES, TeamName
from services.generator.places import division_rows, filled_row, park_row, sub_league_row, team_line
from services.generator.rows import Change, Insert, Row, Value
from services.generator.tables import (
    DIVISIONS,
    PARKS,
    PLAYERS,
    SUB_LEAGUES,
    TEAM_BATTING_STATS,
    TEAM_PITCHING_STATS,
    TEAM_RECORD,
    TEAMS,
    Table,
)
from services.generator.tables import LEAGUES as LEAGUES_TABLE

ROSTER = (PITCHER,) * 18 + tuple(range(2, 11)) * 2 + (2, 3, 4, 6)
DIVISION_TEAMS = 5
FIRST_PLAYER = 1001
COLOURS = ("#0B3D91", "#A6192E", "#FFFFFF", "#1C1C1C", "#F2A900", "#00594C", "")


def first_teams() -> dict[int, Record]:
    """Every team with an empty record: ids 1 to 15 in the first league, 16 to 30 in the second."""
    ids = [(league_id, place) for league_id, league in LEAGUES.items() for place in range(len(league.teams))]
    return {
        team_id: Record(team_id, league_id, division=place // DIVISION_TEAMS)
        for team_id, (league_id, place) in enumerate(ids, start=1)
    }


def first_players() -> dict[int, Player]:
    """Forty players a team."""
    spots = [(record, position) for record in first_teams().values() for position in ROSTER]
    return {
        player_id: Player(player_id, record.team_id, record.league_id, position)
        for player_id, (record, position) in enumerate(spots, start=FIRST_PLAYER)
    }


def founding_changes(season: int) -> tuple[Change, ...]:
    """All rows before the first season is scheduled."""
    names = [name for _, known in sorted(LEAGUES.items()) for name in known.teams]
    teams = list(zip(first_teams().values(), names, strict=True))
    today = dt.date(season, 4, 1)
    players = (
        player_row(player, random.Random(f"player:{player.player_id}"), today, drafted=False)
        for player in first_players().values()
    )
    rows: dict[Table, Iterable[Row]] = {
        LEAGUES_TABLE: (league_row(league_id, season) for league_id in LEAGUES),
        SUB_LEAGUES: (sub_league_row(league_id, name) for league_id, name in LEAGUES.items()),
        DIVISIONS: (row for league_id, name in LEAGUES.items() for row in division_rows(league_id, name)),
        PARKS: (park_row(record.team_id, name) for record, name in teams),
        TEAMS: (team_row(record, name) for record, name in teams),
        PLAYERS: players,
        TEAM_BATTING_STATS: (team_line(TEAM_BATTING_STATS, record, season) for record, _ in teams),
        TEAM_PITCHING_STATS: (team_line(TEAM_PITCHING_STATS, record, season) for record, _ in teams),
        TEAM_RECORD: ((record.team_id, 0, 0, 0, 0, 1, 0.0, 0.0, 0, None) for record, _ in teams),
    }
    return tuple(Insert(table.name, tuple(table_rows)) for table, table_rows in rows.items())


def league_row(league_id: int, season: int) -> Row:
    """A row of `leagues`: 163 columns, most of them rules."""
    rng = random.Random(f"league:{league_id}")
    name = LEAGUES[league_id]
    known: dict[str, Value] = {
        "league_id": league_id,
        "name": name.name,
        "abbr": name.abbr,
        "nation_id": 206,
        "start_date": dt.date(season, 4, 1),
        "preferred_start_date": dt.date(season, 4, 1),
        "trade_deadline_date": dt.date(season, 7, 31),
        "allstar_date": None,
        "season_year": season,
        "historical_year": None,
        "world_start_year": season - 1,
        "current_date": dt.date(season, 4, 1),
        "rules_average_ticket_price": 0.1 + 0.2,
        "avg_rating_age": 82 / 3,
        "financial_coefficient": -1 / 3,
        "days_until_deadline": -1,
        "background_color_id": "#0B3D91",
        "text_color_id": "",
    }
    return filled_row(LEAGUES_TABLE, known, rng)


def team_row(record: Record, name: TeamName) -> Row:
    """A row of `teams`."""
    rng = random.Random(f"team:{record.team_id}")
    known: dict[str, Value] = {
        "team_id": record.team_id,
        "name": name.town,
        "abbr": name.abbr,
        "nickname": name.nickname,
        "logo_file_name": f"{name.town.lower().replace(' ', '_')}_{name.nickname.lower()}.png",
        "league_id": record.league_id,
        "sub_league_id": 0,
        "division_id": record.division,
        "park_id": record.team_id,
        "parent_team_id": 0,
        "level": 1,
        "human_team": 0,
        "human_id": -1,
        "allstar_team": 0,
        "historical_id": None if record.team_id % 3 else "",
    }
    colours = {column.name: rng.choice(COLOURS) for column in TEAMS.columns if column.name.endswith("_color_id")}
    return filled_row(TEAMS, {**known, **colours}, rng)


def player_row(player: Player, rng: random.Random, today: dt.date, *, drafted: bool) -> Row:
    """A row of `players`.

    Args:
        player: Ids and position.
        rng: Source of all other values.
        today: The date that ages refer to.
        drafted: Whether he is drafted that day. Otherwise he has played for years.
    """
    age = rng.randint(18, 22) if drafted else rng.randint(20, 39)
    born = dt.date(today.year - age, 1, 1) + dt.timedelta(days=rng.randrange(today.timetuple().tm_yday))
    known: dict[str, Value] = {
        "player_id": player.player_id,
        "team_id": player.team_id,
        "league_id": player.league_id,
        "organization_id": player.team_id,
        "position": player.position,
        "role": rng.choice((11, 12, 13)) if player.position == PITCHER else 0,
        "first_name": rng.choice(FIRST_NAMES),
        "last_name": rng.choice(LAST_NAMES),
        "nick_name": rng.choice(NICK_NAMES) if rng.random() < 0.1 else "",  # noqa: PLR2004 - one in ten
        "age": age,
        "date_of_birth": born,
        "experience": 0 if drafted else age - 19,
        "uniform_number": rng.randint(0, 99),
        "weight": rng.randint(70, 118),
        "height": rng.randint(168, 204),
        "bats": rng.choice((1, 2, 3)),
        "throws": rng.choice((1, 2)),
        "injury_is_injured": 0,
        "injury_id": None,
        "acquired_date": today if drafted else None,
        "draft_year": today.year if drafted else rng.choice((None, today.year - age + 18)),
        "draft_league_id": player.league_id,
        "draft_team_id": player.team_id,
        "historical_id": None if rng.random() < 0.5 else "",  # noqa: PLR2004 - a coin
        "historical_team_id": "",
        "loan_league_id": None,
        "loan_team_id": None,
        **_character(rng),
    }
    return filled_row(PLAYERS, known, random.Random(player.player_id))


def _character(rng: random.Random) -> dict[str, Value]:
    """Ratings of a person: those named `personality_` and `prone_`, moods (some negative), fame."""
    rated = {
        column.name: rng.randint(1, 200)
        for column in PLAYERS.columns
        if column.name.startswith(("personality_", "prone_"))
    }
    moods = {column.name: rng.randint(-100, 100) for column in PLAYERS.columns if column.name.startswith("morale_")}
    return {**rated, **moods, "morale": rng.randint(20, 90), "local_pop": rng.randint(0, 6)}
