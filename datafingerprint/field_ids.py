"""Maps columns of data files to those of the table by Iceberg's field ids, as engines do.

Names are not reliable: another engine may spell a name in its files in its own way. A column may be renamed, or dropped
and its name given to another one.
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
        ids: Column name to field id.
        last: The highest field id that the table has used so far.
    """

    ids: Mapping[str, int]
    last: int

    def missing(self, names: Iterable[str]) -> list[str]:
        """The names that no column has."""
        return [name for name in names if name not in self.ids]

    def is_moved(self, later: FieldIds, names: Iterable[str]) -> bool:
        """Whether older files may have other values for these names later.

        A column that was added in between has none: no older file has its id.
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


def column_indices(present: pa.Schema, ids: Mapping[str, int] | None, wanted: pa.Schema) -> list[int]:
    """For each wanted column its index in a file; -1 if the file does not have it.

    Args:
        present: The file's columns.
        ids: The table's field ids by name; None if unknown.
        wanted: The wanted columns.

    Columns are matched by name if the file has no ids, or those of the table are unknown.

    Raises:
        ValueError: two columns of the file match.
    """
    by_id = [int(field.metadata[FIELD_ID]) if _has_id(field) else None for field in present]
    if ids is None or not any(number is not None for number in by_id):
        return [_only_index(present.names, name) for name in wanted.names]
    return [_only_index(by_id, ids[name]) if name in ids else -1 for name in wanted.names]


def select_columns(rows: pa.Table, indices: Sequence[int], wanted: pa.Schema) -> pa.Table:
    """Selects the wanted columns by their index in the file; NULL for -1."""
    columns = [
        pa.nulls(rows.num_rows, field.type) if index < 0 else rows.column(index).cast(field.type)
        for index, field in zip(indices, wanted, strict=True)
    ]
    return pa.table(columns, schema=wanted)


def _only_index(items: Sequence[object], wanted: object) -> int:
    indices = [index for index, item in enumerate(items) if item == wanted]
    if len(indices) > 1:
        raise ValueError(f"two columns are {wanted}")
    return indices[0] if indices else -1


def _has_id(field: pa.Field) -> bool:
    return field.metadata is not None and FIELD_ID in field.metadata
