"""Parts that answers share: moments, positions, sums, and the refusal of an unknown name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.exceptions import HTTPException

from api.models import ErrorAnswer, Position, Side
from api.ports import StateView
from datafingerprint.epochs import SNAPSHOT_NOT_BEGUN, SourcePosition
from datafingerprint.fingerprint import Fingerprint

NAMED_MAX = 20
"""Most tables, partitions or audits that an error names."""

ID_MAX = 2**31 - 1
"""Largest id of an audit or a scan."""

NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorAnswer, "description": "Nothing has that name; the error names those that exist."}
}
INVALID: dict[int | str, dict[str, Any]] = {
    422: {"model": ErrorAnswer, "description": "A parameter is invalid; the error names it and the reason."}
}


def moment(seconds: float) -> datetime:
    """A Unix time as answers show it: UTC, to the millisecond."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def position(source: SourcePosition) -> Position:
    """A source position as answers show it."""
    return Position(gtid=source.gtid, file=source.file, pos=source.pos)


def side(value: Fingerprint | None) -> Side | None:
    """A fingerprint as answers show it. An unknown one stays unknown."""
    return None if value is None else Side(rows=value.rows, fingerprint=value.value, digest=value.digest)


def known_tables(view: StateView) -> list[str]:
    """Names of the tables that `/v1/fingerprints` shows."""
    return sorted({*view.defined_tables(), *view.judged_tables(), *without_rows(view)})


def set_aside(view: StateView) -> Mapping[str, str]:
    """Tables that capture leaves out at the last epoch, with the reason."""
    last = view.epoch(view.progress().epoch)
    return dict(sorted(last.epoch.set_aside.items())) if last else {}


def without_rows(view: StateView) -> Mapping[str, str]:
    """Captured tables without published rows, with the reason: set aside, or not read yet."""
    last = view.epoch(view.progress().epoch)
    awaiting = last.epoch.awaiting_snapshot if last else ()
    return {**dict.fromkeys(awaiting, SNAPSHOT_NOT_BEGUN), **set_aside(view)}


def table_named(view: StateView, given: str) -> str | None:
    """The name of the table that a caller means: its own, or an unambiguous `schema.table`.

    Our names quote unusual characters of a table's name. Callers may leave the quotes out. The names of all tables are
    read only if no table of this name was compared.
    """
    if given in view.judged_tables(given) or given in known_tables(view):
        return given
    names = [name for name, (_, table) in view.definitions().items() if f"{table.schema}.{table.name}" == given]
    return names[0] if len(names) == 1 else None


def unknown(what: str, known: Sequence[str]) -> HTTPException:
    """The error for an unknown name. It names what exists."""
    first = ", ".join(known[:NAMED_MAX]) or "none yet"
    more = f" and {len(known) - NAMED_MAX} more" if len(known) > NAMED_MAX else ""
    return HTTPException(404, f"no {what}; there are {first}{more}")
