"""Indexes on the tables without a key, so that a game costs the same however long the league has been played.

The export declares none; without them every correction, and every tired arm, reads a whole table. They are not
unique: the tables stay without a key for everybody who reads them.
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
    """Makes the indexes that are missing on tables that are there; answers the tables that got one.

    An index of somebody else on the same column will do.
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
        # By itself: the server commits around it, and ends a transaction.
        warehouse.transact([Statement(f"CREATE INDEX {name} ON {quoted(table)} ({quoted(column)})")])
    return missing
