"""The tables that the settings capture, and how a change of the settings is applied."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from datafingerprint.config import MAPPINGS, Settings, TableSettings


@dataclass(frozen=True, slots=True)
class TableFilter:
    """`[source] tables`, with the sections of single tables.

    Attributes:
        patterns: The patterns of `[source] tables`.
        tables: The settings of single tables, by `schema.table`.
    """

    patterns: tuple[str, ...]
    tables: Mapping[str, TableSettings]

    def keep_settings(self, before: TableFilter, captured: Collection[str]) -> TableFilter:
        """This filter, with the earlier settings of tables that are captured already.

        A table's section determines how its rows are read and where they are in the lake, from its first row on. So
        only new tables take a new section.
        """
        kept = {name: table for name, table in before.tables.items() if name in captured}
        new = {name: table for name, table in self.tables.items() if name not in captured}
        return TableFilter(self.patterns, {**new, **kept})


def table_filter_of(settings: Settings) -> TableFilter:
    """The filter of the settings."""
    return TableFilter(settings.source.tables, settings.tables)


def with_table_filter(settings: Settings, table_filter: TableFilter) -> Settings:
    """The settings with another filter."""
    source = settings.source.model_copy(update={"tables": table_filter.patterns})
    return settings.model_copy(update={"source": source, "tables": table_filter.tables})


def changed_settings(settings: Settings, other: Settings) -> tuple[str, ...]:
    """Names of settings that differ; never their values, which may be secrets."""
    changed: list[str] = []
    for section in Settings.model_fields:
        before, after = _values(getattr(settings, section)), _values(getattr(other, section))
        names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        changed += [f'{section}."{name}"' if section in MAPPINGS else f"{section}.{name}" for name in names]
    return tuple(changed)


def _values(section: BaseModel | Mapping[str, object]) -> Mapping[str, object]:
    return dict(section) if isinstance(section, BaseModel) else section
