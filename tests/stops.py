"""Finds every raise site of a `Stop` in the sources, under a name that survives moves of code."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datafingerprint import errors
from datafingerprint.errors import Stop

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("datafingerprint", "services", "api")
STOPS = {value.__name__ for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Stop)}
"""The names of `Stop` and of all that are of its kind."""

_NAMES_TABLE_FIRST = frozenset({"TableError", "TableDeniedError"})


@dataclass(frozen=True, slots=True)
class Site:
    """A call that makes a stop.

    Attributes:
        file: Its file, relative to the repository.
        words: The error's text with `{}` for values; for a text made elsewhere, the expression and the function.
        call: The call.
    """

    file: str
    words: str
    call: ast.Call

    @property
    def kind(self) -> str:
        """The name of the class."""
        return called_name(self.call)


def source_files() -> list[Path]:
    """All files whose stops end a service."""
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def sites(path: Path) -> list[Site]:
    """The raise sites of a file, in the order of their lines. Equal texts of one file are numbered."""
    return sites_of(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())


def sites_of(text: str, file: str) -> list[Site]:
    """The raise sites in the text of a file."""
    seen: Counter[str] = Counter()
    result = []
    for call, function in sorted(_calls(ast.parse(text), ""), key=lambda item: item[0].lineno):
        words = _words(call, function)
        seen[words] += 1
        result.append(Site(file, words if seen[words] == 1 else f"{words} #{seen[words]}", call))
    return result


def called_name(call: ast.Call) -> str:
    """The last part of the name that is called; empty if it has none."""
    called = call.func
    if isinstance(called, ast.Attribute):
        return called.attr
    return called.id if isinstance(called, ast.Name) else ""


def _calls(node: ast.AST, function: str) -> Iterator[tuple[ast.Call, str]]:
    """Every making of a stop, whether it is raised there or handed on, with the function around it."""
    if isinstance(node, ast.Call) and called_name(node) in STOPS:
        yield node, function
    inner = node.name if isinstance(node, ast.FunctionDef) else function
    for child in ast.iter_child_nodes(node):
        yield from _calls(child, inner)


def _words(call: ast.Call, function: str) -> str:
    index = 1 if called_name(call) in _NAMES_TABLE_FIRST else 0
    if len(call.args) <= index:
        return f"in {function}"
    text = call.args[index]
    if isinstance(text, ast.Constant):
        return str(text.value)
    if isinstance(text, ast.JoinedStr):
        return "".join(str(value.value) if isinstance(value, ast.Constant) else "{}" for value in text.values)
    return f"{{{ast.unparse(text)}}} in {function}"
