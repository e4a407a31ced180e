"""Docstrings, messages and names in the code are plain: short first lines, and none of the words that confuse."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FIRST_LINE_MAX = 90
WORDS_MAX = 35
BANNED_WORDS = re.compile(
    r"\b(anew|octets?|whoever|whatever|nobody|mend(s|ed|ing)?|likewise|stands? (at|behind)|lies in|comes to|not fit|"
    r"unfit|gone on with|laid aside|under watch|signs? of life|of which|told|tells)\b",
    re.IGNORECASE,
)
BANNED_NAMES = re.compile(r"^(one|found|told|said|asked|begun|laid|.*octets?(_.*)?)$", re.IGNORECASE)
PACKAGES = ("datafingerprint", "services", "api", "commands", "deploy", "bench")
WIRE_WORDS = {"octets", "told", "--anew"}
"""Whole strings that cannot change: fields of stored or published records, old names of options."""

FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")) if "unit" not in path.parts]


def documented(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield text


def texts(tree: ast.Module) -> Iterator[str]:
    """Every string of a file: docstrings, errors, log events and help."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in WIRE_WORDS:
            yield node.value


def names(tree: ast.Module) -> Iterator[str]:
    """Every name that a file gives to a variable, an argument, a function or a class."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name


def sentences(docstring: str) -> Iterator[str]:
    """Sentences of a docstring. A blank line, a line that opens a section, and a list item end one."""
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*(?:[*-]|\d+\.|\w[\w ]*:)\s)", docstring):
        yield from re.split(r"(?<=[.!?:;])\s+", " ".join(paragraph.split()))


def faults(source: str) -> list[str]:
    """What a file's text has against the rules, each as a line."""
    tree = ast.parse(source)
    docstrings = list(documented(tree))
    return [
        *(f"first line too long: {text.splitlines()[0]}" for text in docstrings if long_first_line(text)),
        *(f"sentence too long: {text}" for text in chain.from_iterable(map(sentences, docstrings)) if is_long(text)),
        *(f"banned word {word[0]!r} in {text[:80]!r}" for text in texts(tree) for word in BANNED_WORDS.finditer(text)),
        *(f"banned name {name}" for name in names(tree) if BANNED_NAMES.match(name)),
    ]


def long_first_line(docstring: str) -> bool:
    return len(docstring.splitlines()[0]) > FIRST_LINE_MAX


def is_long(sentence: str) -> bool:
    return len(sentence.split()) > WORDS_MAX


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_plain(path: Path) -> None:
    assert faults(path.read_text(encoding="utf-8")) == []


def test_the_rules_find_what_they_are_for() -> None:
    source = f'''
"""{"x" * (FIRST_LINE_MAX + 1)}"""
def write(octets):
    """{"word " * (WORDS_MAX + 1)}end."""
    for one in octets:
        raise ValueError("read it anew")
'''
    kinds = [fault.split(":")[0] for fault in faults(source)]
    assert kinds == [
        "first line too long", "first line too long", "sentence too long", "banned word 'anew' in 'read it anew'",
        "banned name octets", "banned name one",
    ]  # fmt: skip
