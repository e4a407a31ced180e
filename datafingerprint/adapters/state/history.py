"""The history of verdicts in the state store: its points, and which of them are removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from datafingerprint.adapters.state.rows import Row, insert, upsert
from datafingerprint.adapters.state.tables import HISTORY_KEYS, POINTS, read_known_sum
from datafingerprint.history import DAY_S, HistoryPoint, HistoryRules
from datafingerprint.verdict import Outcome, Verdict

REMOVED_AT_ONCE = 100_000
"""Points that one call removes at most, so that its transaction stays short."""

_DAY_MS = int(DAY_S * 1000)
_THINNED_DAYS = 7
"""Days before the last one that are thinned. Older ones have been."""

_OUTCOMES = tuple(Outcome)
_SUMS = tuple(f"{side}_{name}" for side in ("source", "lake") for name in ("row_count", "hi", "lo"))
_AT_ONCE = 400


def point_row(verdict: Mapping[str, Any], epoch: int, now: float) -> Row:
    """A point without its key, from the row of a verdict.

    The lake's sum is left out of a match, where it is that of the source.
    """
    is_match = verdict["outcome"] == Outcome.MATCH.value
    sums = {name: None if is_match and name.startswith("lake") else verdict[name] for name in _SUMS}
    return {
        "at_ms": round(now * 1000),
        "epoch": epoch,
        "outcome": _OUTCOMES.index(Outcome(verdict["outcome"])),
        "reason": verdict["reason"] or None,
        **sums,
    }


def save_points(connection: sa.Connection, points: Mapping[tuple[str, str], Row]) -> None:
    """Stores points by table and partition."""
    if points:
        keys = _keys(connection, sorted(points))
        upsert(connection, POINTS, [{"key_id": keys[name], **row} for name, row in points.items()])


def _keys(connection: sa.Connection, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """The ids of partitions. Those without one get the next."""
    keys: dict[tuple[str, str], int] = {}
    of = sa.tuple_(HISTORY_KEYS.c.table_name, HISTORY_KEYS.c.partition_name)
    for begin in range(0, len(names), _AT_ONCE):
        for row in connection.execute(sa.select(HISTORY_KEYS).where(of.in_(names[begin : begin + _AT_ONCE]))):
            keys[row.table_name, row.partition_name] = row.id
    first = (connection.scalar(sa.select(sa.func.max(HISTORY_KEYS.c.id))) or 0) + 1
    new = {name: number for number, name in enumerate((name for name in names if name not in keys), first)}
    rows = [{"id": number, "table_name": name[0], "partition_name": name[1]} for name, number in new.items()]
    insert(connection, HISTORY_KEYS, rows)
    return keys | new


def points_query(table: str, partition: str, limit: int, before_ms: int | None) -> sa.Select[Any]:
    """Selects points of a partition, newest first."""
    query = sa.select(POINTS).join(HISTORY_KEYS, HISTORY_KEYS.c.id == POINTS.c.key_id)
    query = query.where(HISTORY_KEYS.c.table_name == table, HISTORY_KEYS.c.partition_name == partition)
    if before_ms is not None:
        query = query.where(POINTS.c.at_ms < before_ms)
    return query.order_by(POINTS.c.at_ms.desc()).limit(limit)


def point_of(row: Mapping[Any, Any]) -> HistoryPoint:
    """The point in a row."""
    outcome = _OUTCOMES[row["outcome"]]
    source = read_known_sum(row, "source_")
    lake = source if outcome is Outcome.MATCH else read_known_sum(row, "lake_")
    return HistoryPoint(row["at_ms"], row["epoch"], Verdict(outcome, row["reason"] or "", source, lake))


def remove_points(connection: sa.Connection, rules: HistoryRules, now: float) -> bool:
    """Removes points that are too old or too many.

    1. Points older than `rules.days` go.
    2. Of points older than a day, the last one per partition, day and outcome stays.
    3. If there are still more than `rules.points_max`, the oldest go.
    4. Partitions without a point lose their id.

    Returns:
        Whether there may be more to remove.
    """
    now_ms = round(now * 1000)
    too_old = _remove(connection, POINTS.c.at_ms < now_ms - round(rules.days * _DAY_MS))
    needless = _remove(connection, *_superseded(now_ms))
    count = connection.scalar(sa.select(sa.func.count()).select_from(POINTS)) or 0
    if count > rules.points_max:
        _remove(connection, at_once=min(count - rules.points_max, REMOVED_AT_ONCE))
    has_point = sa.exists().where(POINTS.c.key_id == HISTORY_KEYS.c.id)
    connection.execute(sa.delete(HISTORY_KEYS).where(~has_point))
    return max(too_old, needless, count - rules.points_max) >= REMOVED_AT_ONCE


def _superseded(now_ms: int) -> tuple[sa.ColumnElement[bool], ...]:
    """Selects points that a later one of their partition, day and outcome makes needless."""
    later = POINTS.alias("later")
    next_day = (POINTS.c.at_ms // _DAY_MS + 1) * _DAY_MS
    is_superseded = sa.exists().where(
        later.c.key_id == POINTS.c.key_id,
        later.c.at_ms > POINTS.c.at_ms,
        later.c.at_ms < next_day,
        later.c.at_ms < now_ms - _DAY_MS,
        later.c.outcome == POINTS.c.outcome,
    )
    first = now_ms - (1 + _THINNED_DAYS) * _DAY_MS
    return POINTS.c.at_ms >= first, POINTS.c.at_ms < now_ms - _DAY_MS, is_superseded


def _remove(connection: sa.Connection, *where: sa.ColumnElement[bool], at_once: int | None = None) -> int:
    """Removes points, the oldest first. Returns how many it removed."""
    key = (POINTS.c.key_id, POINTS.c.at_ms)
    doomed = sa.select(*key).where(*where).order_by(POINTS.c.at_ms, POINTS.c.key_id).limit(at_once or REMOVED_AT_ONCE)
    return connection.execute(sa.delete(POINTS).where(sa.tuple_(*key).in_(doomed))).rowcount
