"""What answers have in common: how moments, positions and sums are shown, and how something unknown is refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.exceptions import HTTPException

from api.models import ErrorAnswer, Position, Side
from api.ports import StateView
from datafingerprint.epochs import SourcePosition
from datafingerprint.fingerprint import Fingerprint

NAMED_MAX = 20
"""Most tables, partitions or audits that an error names."""

NOT_FOUND: dict[int | str, dict[str, Any]] = {
    404: {"model": ErrorAnswer, "description": "There is none of that name; the error names those that exist."}
}
INVALID: dict[int | str, dict[str, Any]] = {
    422: {"model": ErrorAnswer, "description": "A parameter is not fit; the error says which and why."}
}


def moment(seconds: float) -> datetime:
    """A Unix time as answers show it: UTC, to the millisecond."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def position(at: SourcePosition) -> Position:
    """A source position as answers show it."""
    return Position(gtid=at.gtid, file=at.file, pos=at.pos)


def side(value: Fingerprint | None) -> Side | None:
    """A fingerprint as answers show it; what is unknown stays unknown."""
    return None if value is None else Side(rows=value.rows, fingerprint=value.value, digest=value.digest)


def known_tables(view: StateView) -> list[str]:
    """Names of the tables that have a fingerprint to show."""
    return sorted({*view.definitions(), *view.judged_tables()})


def unknown(what: str, known: Sequence[str]) -> HTTPException:
    """The refusal of a name that nothing has, naming what there is."""
    named = ", ".join(known[:NAMED_MAX]) or "none yet"
    more = f" and {len(known) - NAMED_MAX} more" if len(known) > NAMED_MAX else ""
    return HTTPException(404, f"no {what}; there are {named}{more}" if known else f"no {what}; there are none yet")
