"""Finds the tables that a statement logged as text may change.

These are the tables that it names, and those of the views, triggers, routines and cascades that it runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from datafingerprint.binlog.statements import Statement, called_names, mentioned_names
from datafingerprint.binlog.tokens import tokenize
from datafingerprint.stored_programs import ProgramKind, StoredProgram
from datafingerprint.table_names import table_name

_CHANGED, _CALLED, _READ = "changed", "called", "read"


class Reach:
    """A graph that leads from tables, views and routines to the tables that they change.

    Args:
        programs: All views, triggers, routines and cascades of the source.
    """

    def __init__(self, programs: Sequence[StoredProgram]) -> None:
        self._by_name: dict[tuple[str, str], list[StoredProgram]] = defaultdict(list)
        for program in programs:
            name = table_name(program.schema, program.name)
            if program.kind is ProgramKind.ROUTINE:
                self._by_name[_CALLED, name.lower()].append(program)
                continue
            self._by_name[_CHANGED, name].append(program)
            if program.kind is ProgramKind.VIEW:
                self._by_name[_READ, name].append(program)

    def of(self, statement: Statement) -> tuple[frozenset[str], str]:
        """The tables that a statement may change.

        Tables that a routine or trigger only reads are included, because nothing proves that they do not change.

        Returns:
            The tables, and a program that the statement runs and whose text is hidden, or an empty text.
        """
        pending = {(_CHANGED, name) for name in statement.tables}
        pending |= {(_CALLED, name.lower()) for name in statement.calls}
        pending |= {(_READ, name) for name in statement.mentions}
        seen: set[tuple[str, str]] = set()
        hidden = ""
        while pending:
            node = pending.pop()
            seen.add(node)
            for program in self._by_name.get(node, ()):
                parsed = None if program.text is None else tokenize(program.text, program.sql_mode)
                if parsed is None:
                    hidden = f"{program.schema}.{program.name}"
                    continue
                next_kind = _READ if node[0] == _READ else _CHANGED
                names = _nodes(next_kind, mentioned_names(parsed, program.schema))
                calls = _nodes(_CALLED, (name.lower() for name in called_names(parsed, program.schema)))
                pending |= (names | calls) - seen
        return frozenset(name for kind, name in seen if kind == _CHANGED), hidden


def _nodes(kind: str, names: Iterable[str]) -> set[tuple[str, str]]:
    return {(kind, name) for name in names}
