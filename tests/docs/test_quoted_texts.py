"""Texts of log lines and reasons that the operator's pages quote are the texts of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.docs.prose import without_code_blocks

ROOT = Path(__file__).parents[2]
PACKAGES = ("datafingerprint", "services", "api", "commands", "deploy")
PAGES = ("docs/runbook.md", "docs/running.md")
WORDS_MIN = 4
QUOTED = re.compile(r"`([^`]+)`")
FILLED_IN = re.compile(r"…|%|:|\bn\b|\d+|=")
"""What a page writes for a value that the code fills in, and what separates two texts."""
NOT_A_TEXT = re.compile(r"^(\./run|datafingerprint |docker|kafka|--)|[A-Z]{3,} [A-Z]")
"""Commands and SQL."""


@cache
def texts() -> str:
    """Every string of the code. Values that are filled in are gaps."""
    result: list[str] = []
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            result += (" ".join(text.split()) for text in strings(ast.parse(path.read_text(encoding="utf-8"))))
    return "\n".join(result)


def strings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            yield "".join(str(part) for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def quotations(page: str) -> Iterator[str]:
    """The parts of each quoted text between two values, if they are long enough to be looked for."""
    for quoted in QUOTED.findall(without_code_blocks(page)):
        flat = " ".join(quoted.split())
        if not NOT_A_TEXT.search(flat):
            parts = (part.strip(" .,;()'") for part in FILLED_IN.split(flat))
            yield from (part for part in parts if len(part.split()) >= WORDS_MIN)


@pytest.mark.parametrize("page", PAGES)
def test_every_quoted_text_is_in_the_code(page: str) -> None:
    wanted = list(quotations((ROOT / page).read_text(encoding="utf-8")))
    assert len(wanted) > 1
    assert [text for text in wanted if text not in texts()] == []


def test_a_text_that_nothing_logs_is_found() -> None:
    assert list(quotations("`the broker is gone for ever, n times` and `./run up all of it now`")) == [
        "the broker is gone for ever",
    ]
    assert "the broker is gone for ever" not in texts()
