"""Indexes on the tables without a key, so that a game's cost does not grow with the league.

The export declares none, and without them every correction and every tired arm reads a whole table. They are not
unique, so the tables still have no key.
"""

from __future__ import annotations

from services.generator.ports import Warehouse
from services.generator.statements import Statement, quoted

INDEXES = {
    "players": "player_id",
    "players_game_batting": "game_id",
    "players_game_pitching_stats": "game_id",
    "players_at_bat_batting_stats": "game_id",
    "players_career_batting_stats": "player_id",
    "players_career_pitching_stats": "player_id",
}
_HAS_COLUMN = (
    "SELECT 1 FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = %s AND column_name = %s"
)
_FOUND = (
    "SELECT 1 FROM information_schema.statistics"
    " WHERE table_schema = DATABASE() AND table_name = %s AND column_name = %s AND seq_in_index = 1 LIMIT 1"
)


def ensure_indexes(warehouse: Warehouse) -> tuple[str, ...]:
    """Makes missing indexes on existing tables. Returns the tables that got one.

    Any index that starts with the column is enough.
    """
    missing = tuple(
        table
        for table, column in INDEXES.items()
        if warehouse.query(Statement(_HAS_COLUMN, (table, column)))
        and not warehouse.query(Statement(_FOUND, (table, column)))
    )
    for table in missing:
        column = INDEXES[table]
        name = quoted(f"generator_{column}")
        # In a transaction of its own, because the server commits around it.
        warehouse.transact([Statement(f"CREATE INDEX {name} ON {quoted(table)} ({quoted(column)})")])
    return missing
