"""The table of `docs/engines.md`: which engine renders which type; `python -m tests.engines.matrix` prints it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from datafingerprint.column_types import column
from datafingerprint.schema import Column, Kind
from datafingerprint.sql.comparison import PrestoSource
from datafingerprint.sql.engines import LAKE_ENGINES
from datafingerprint.sql.mysql import Dialect, canonical_row

ROOT = Path(__file__).parents[2]
NOT_OF = {Dialect.MYSQL: {Kind.UUID, Kind.INET4, Kind.INET6}, Dialect.MARIADB: {Kind.VECTOR}}
"""Kinds that a server has not, or has and is not tried with."""

TYPES = [
    name
    for line in (ROOT / "docs" / "types.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| `")
    for name in re.findall(r"`([^`]*)`", line.split(" | ", maxsplit=1)[0])
]
"""Every type that is carried, as `docs/types.md` has them."""


def described(name: str) -> Column:
    """The column of a type as the page has it, with its character set if that is not UTF-8."""
    return column("c", name, nullable=True, charset="binary" if name.endswith("character set binary") else "utf8mb4")


def rendered() -> str:
    """The table, one line a type, and below it the reasons."""
    engines = {**LAKE_ENGINES, "presto, source side": PrestoSource("source")}
    reasons: list[str] = []
    lines = [f"| type | {' | '.join((*Dialect, *engines))} |", "|---" * (len(Dialect) + len(engines) + 1) + "|"]
    for name in TYPES:
        cells = [_of_source(name, server) for server in Dialect]
        for dialect in engines.values():
            reason = dialect.refusal(described(name))
            if reason and reason not in reasons:
                reasons.append(reason)
            cells.append(f"refused ({reasons.index(reason) + 1})" if reason else "exact")
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    notes = [f"({number}) {reason}." for number, reason in enumerate(reasons, start=1)]
    return "\n".join([*lines, "", *(f"{note}  " for note in notes)]).rstrip()


def _of_source(name: str, server: Dialect) -> str:
    """What a server does of a type of its own; nothing of one that it has not."""
    result = described(name)
    if result.kind in NOT_OF[server] or (result.is_short_year and server is Dialect.MYSQL):
        return ""
    # Raises where there is no rendering.
    assert canonical_row((result,))
    return "exact"


if __name__ == "__main__":
    sys.stdout.write(rendered() + "\n")
