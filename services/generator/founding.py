"""The league on its first day: rows of leagues, teams and players, all made up but always the same."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping

from services.generator.league import PITCHER, Player, Record
from services.generator.names import FIRST_NAMES, LAST_NAMES, LEAGUES, NICK_NAMES, TeamName
from services.generator.rows import Row, Value
from services.generator.tables import LEAGUES as LEAGUES_TABLE
from services.generator.tables import PLAYERS, TEAMS, Column, Table

ROSTER = (PITCHER,) * 12 + tuple(range(2, 11)) + (2, 3, 4, 6, 8)
FIRST_PLAYER = 1001
COLOURS = ("#0B3D91", "#A6192E", "#FFFFFF", "#1C1C1C", "#F2A900", "#00594C", "")


def first_teams() -> dict[int, Record]:
    """Every team with an empty record: team ids 1 to 6 in the first league, 7 to 12 in the second."""
    ids = [(league_id, place) for league_id, league in LEAGUES.items() for place in range(len(league.teams))]
    return {team_id: Record(team_id, league_id) for team_id, (league_id, _) in enumerate(ids, start=1)}


def first_players() -> dict[int, Player]:
    """Twenty-six players a team."""
    spots = [(record, position) for record in first_teams().values() for position in ROSTER]
    return {
        player_id: Player(player_id, record.team_id, record.league_id, position)
        for player_id, (record, position) in enumerate(spots, start=FIRST_PLAYER)
    }


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
    return _row(LEAGUES_TABLE, known, rng)


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
        "division_id": 0,
        "parent_team_id": 0,
        "level": 1,
        "human_team": 0,
        "human_id": -1,
        "allstar_team": 0,
        "historical_id": None if record.team_id % 3 else "",
    }
    colours = {column.name: rng.choice(COLOURS) for column in TEAMS.columns if column.name.endswith("_color_id")}
    return _row(TEAMS, {**known, **colours}, rng)


def player_row(player: Player, rng: random.Random, today: dt.date, *, drafted: bool) -> Row:
    """A row of `players`.

    Args:
        player: Who he is, and where he plays.
        rng: Everything else.
        today: The day of the row, from which ages are counted.
        drafted: Whether he comes from the draft of that day; else he has been around for years.
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
    return _row(PLAYERS, known, random.Random(player.player_id))


def _character(rng: random.Random) -> dict[str, Value]:
    """Ratings of a person: those named `personality_` and `prone_`, moods (some negative), fame."""
    rated = {
        column.name: rng.randint(1, 200)
        for column in PLAYERS.columns
        if column.name.startswith(("personality_", "prone_"))
    }
    moods = {column.name: rng.randint(-100, 100) for column in PLAYERS.columns if column.name.startswith("morale_")}
    return {**rated, **moods, "morale": rng.randint(20, 90), "local_pop": rng.randint(0, 6)}


def _row(table: Table, known: Mapping[str, Value], rng: random.Random) -> Row:
    """All columns of a row in order: the known ones, and for the others a value fit for the type."""
    return tuple(known[column.name] if column.name in known else _filler(column, rng) for column in table.columns)


def _filler(column: Column, rng: random.Random) -> Value:
    """Mostly nought, as in an export of a young league; now and then NULL where the column allows it."""
    if column.nullable and rng.random() < 0.06:  # noqa: PLR2004 - six in a hundred
        return None
    if column.type == "DOUBLE":
        return rng.choice((1.0, 0.1 + 0.2, 1 / 3, 2 / 3, -1e-7, 0.0, rng.uniform(0, 2)))
    if column.type == "DATE":
        return dt.date(2031, rng.randint(1, 12), rng.randint(1, 28))
    if column.type.startswith("VARCHAR"):
        return ""
    if column.type == "TINYINT":
        return int(rng.random() < 0.2)  # noqa: PLR2004 - one in five
    return rng.choice((0, 0, 0, -1, rng.randint(1, 120)))
