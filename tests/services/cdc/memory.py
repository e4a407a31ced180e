"""A warehouse in memory. `tests/ports/test_source_contract.py` holds it to the real one's promises."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from datafingerprint.errors import Stop, TableDeniedError, TableError
from datafingerprint.ports.source import Survey, Visibility
from datafingerprint.schema import TableSchema

T = TypeVar("T")


@dataclass
class FakeSource:
    """Tables that are supported, that are not, and that may not be read. All of schema `s` is chosen."""

    tables: dict[str, TableSchema] = field(default_factory=dict)
    errors: dict[str, Stop] = field(default_factory=dict)
    denied_tables: set[str] = field(default_factory=set)
    surveys: list[Collection[str] | None] = field(default_factory=list)

    def is_captured(self, name: str) -> bool:
        return name.startswith("s.")

    def survey(self, names: Collection[str] | None = None) -> Survey:
        self.surveys.append(names)
        return Survey(_of(self.tables, names), _of(self.errors, names))

    def visibility(self, name: str) -> Visibility:
        if name in self.denied_tables:
            return Visibility.DENIED
        return Visibility.THERE if name in self.tables or name in self.errors else Visibility.GONE

    def denied(self, name: str) -> TableError:
        return TableDeniedError(name, "may not be read", remedy="GRANT SELECT")


def _of(tables: Mapping[str, T], names: Collection[str] | None) -> dict[str, T]:
    return {name: table for name, table in tables.items() if names is None or name in names}
