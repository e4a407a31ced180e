"""What a stream that goes on demands of the settings."""

from __future__ import annotations

import pytest

from datafingerprint.column_types import column
from datafingerprint.errors import SourceError
from datafingerprint.schema import TableSchema
from services.cdc.stream import begun, require_same_fields

COLUMNS = (
    column("id", "int(11)", nullable=False, charset=None),
    column("league_id", "int(11)", nullable=False, charset=None),
)


def table(*partition: str) -> TableSchema:
    return TableSchema("s", "players", COLUMNS, ("id",), partition=partition)


def test_other_partition_fields_than_the_streams_are_refused_with_both_named() -> None:
    stream = begun("one", [table("league_id")], 0.0)
    require_same_fields(stream, {"s.players": table("league_id")})
    require_same_fields(stream, {})
    with pytest.raises(SourceError, match=r"fields of s\.players were \['league_id'\] and are \[\].*set them back"):
        require_same_fields(stream, {"s.players": table()})
