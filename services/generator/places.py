"""Sub-leagues, divisions and parks, and rows with filler in columns that do not matter."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping

from services.generator.league import Record
from services.generator.names import LeagueName, TeamName
from services.generator.rows import Row, Value
from services.generator.tables import DIVISIONS, PARKS, SUB_LEAGUES, Column, Table


def sub_league_row(league_id: int, name: LeagueName) -> Row:
    """The row of a league's only sub-league, which has the league's name."""
    known: dict[str, Value] = {
        "league_id": league_id,
        "sub_league_id": 0,
        "name": name.name,
        "abbr": name.abbr,
        "gender": 1,
        "designated_hitter": 1,
    }
    return tuple(known[column] for column in SUB_LEAGUES.column_names)


def division_rows(league_id: int, name: LeagueName) -> tuple[Row, ...]:
    """A league's divisions."""
    known = [
        {"league_id": league_id, "sub_league_id": 0, "division_id": number, "name": division, "gender": None}
        for number, division in enumerate(name.divisions)
    ]
    return tuple(tuple(row[column] for column in DIVISIONS.column_names) for row in known)


def park_row(park_id: int, name: TeamName) -> Row:
    """A team's park, with its number."""
    rng = random.Random(f"park:{park_id}")
    known: dict[str, Value] = {
        "park_id": park_id,
        "name": f"{name.town} {rng.choice(('Park', 'Field', 'Grounds', 'Stade', '球場'))}",
        "capacity": rng.randint(18, 52) * 1000,
        "nation_id": 206,
        "picture_night": None,
    }
    factors: dict[str, Value] = {
        column.name: rng.uniform(0.8, 1.2) for column in PARKS.columns if column.type == "DOUBLE"
    }
    return filled_row(PARKS, {**known, **factors}, rng)


def team_line(table: Table, record: Record, season: int) -> Row:
    """A team's line of a season that has not started: 0 in every count."""
    known: dict[str, Value] = {
        "team_id": record.team_id,
        "year": season,
        "league_id": record.league_id,
        "level_id": 1,
    }
    zeros = {column.name: 0.0 if column.type == "DOUBLE" else 0 for column in table.columns}
    return tuple({**zeros, **known}.values())


def filled_row(table: Table, known: Mapping[str, Value], rng: random.Random) -> Row:
    """All columns of a row in order: known values, and for the others a value of the type."""
    return tuple(known[column.name] if column.name in known else _filler(column, rng) for column in table.columns)


def _filler(column: Column, rng: random.Random) -> Value:
    """Mostly 0, as in an export of a young league, and sometimes NULL if the column allows it."""
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
