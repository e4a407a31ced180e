"""Which tables the settings put under watch, and what becomes of a choice that is changed while capture runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from datafingerprint.config import MAPPINGS, Settings, TableSettings


@dataclass(frozen=True, slots=True)
class Choice:
    """What `[source] tables` says, with the sections of single tables.

    Attributes:
        patterns: As `[source] tables` has them.
        tables: What is set of single tables, by `schema.table`.
    """

    patterns: tuple[str, ...]
    tables: Mapping[str, TableSettings]

    def beside(self, before: Choice, followed: Collection[str]) -> Choice:
        """This choice, with what was set of the tables that are followed already.

        A table's section says what its rows are read as and where they lie in the lake: it holds from the table's
        first row on, so only tables that come take a new one.
        """
        kept = {name: one for name, one in before.tables.items() if name in followed}
        new = {name: one for name, one in self.tables.items() if name not in followed}
        return Choice(self.patterns, {**new, **kept})


def choice_of(settings: Settings) -> Choice:
    """What settings choose."""
    return Choice(settings.source.tables, settings.tables)


def with_choice(settings: Settings, choice: Choice) -> Settings:
    """Settings that choose this, and are the same otherwise."""
    source = settings.source.model_copy(update={"tables": choice.patterns})
    return settings.model_copy(update={"source": source, "tables": choice.tables})


def differing(one: Settings, other: Settings) -> tuple[str, ...]:
    """Names of the settings that differ, never their values: they may be secrets."""
    found: list[str] = []
    for section in Settings.model_fields:
        before, after = _values(getattr(one, section)), _values(getattr(other, section))
        names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
        found += [f'{section}."{name}"' if section in MAPPINGS else f"{section}.{name}" for name in names]
    return tuple(found)


def _values(section: BaseModel | Mapping[str, object]) -> Mapping[str, object]:
    return dict(section) if isinstance(section, BaseModel) else section
