"""Which column of a data file is which of the table: by Iceberg's field ids, as every engine finds them, not by name.

Names are free: another engine may have spelled them otherwise in its files, and a column may be renamed, or dropped
and another one be given its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

FIELD_ID = b"PARQUET:field_id"


@dataclass(frozen=True, slots=True)
class FieldIds:
    """The columns of a lake table.

    Attributes:
        ids: Name to field id.
        last: The highest field id that the table has given to any column yet.
    """

    ids: Mapping[str, int]
    last: int

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those of the names that no column has."""
        return [name for name in names if name not in self.ids]

    def is_moved(self, later: FieldIds, names: Iterable[str]) -> bool:
        """Whether files that were there before may hold other values for these names later.

        They do not for a column that is new in between: no file that was there before has its id.
        """
        return any(self._differs(later, name) for name in names)

    def _differs(self, later: FieldIds, name: str) -> bool:
        before, after = self.ids.get(name), later.ids.get(name)
        is_new = before is None and after is not None and after > self.last
        return before != after and not is_new

    def to_json(self) -> dict[str, Any]:
        """As the state store holds it."""
        return {"ids": dict(self.ids), "last": self.last}

    @staticmethod
    def from_json(document: Mapping[str, Any]) -> FieldIds:
        """What `to_json` wrote."""
        return FieldIds(document["ids"], document["last"])


def places(found: pa.Schema, ids: Mapping[str, int] | None, wanted: pa.Schema) -> list[int]:
    """For each wanted column its place in a file; -1 where it has none.

    Args:
        found: The file's columns.
        ids: The table's field ids by name; None where they are not known.
        wanted: The columns.

    By name only in a file without ids, or of a table whose ids are not known.

    Raises:
        ValueError: two columns of the file could be meant.
    """
    by_id = [int(field.metadata[FIELD_ID]) if _has_id(field) else None for field in found]
    if ids is None or not any(number is not None for number in by_id):
        return [_only(found.names, name) for name in wanted.names]
    return [_only(by_id, ids[name]) if name in ids else -1 for name in wanted.names]


def in_columns(rows: pa.Table, at: Sequence[int], wanted: pa.Schema) -> pa.Table:
    """The rows in the wanted columns, each taken from its place; NULL where it has none."""
    columns = [
        pa.nulls(rows.num_rows, field.type) if place < 0 else rows.column(place).cast(field.type)
        for place, field in zip(at, wanted, strict=True)
    ]
    return pa.table(columns, schema=wanted)


def _only(among: Sequence[object], one: object) -> int:
    found = [place for place, other in enumerate(among) if other == one]
    if len(found) > 1:
        raise ValueError(f"two columns are {one}")
    return found[0] if found else -1


def _has_id(field: pa.Field) -> bool:
    return field.metadata is not None and FIELD_ID in field.metadata
