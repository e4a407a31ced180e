"""Docs are plain: short sentences, short lines, and none of the words that put strangers off."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.prose import pages, prose, sentences, without_code_blocks

ROOT = Path(__file__).parents[2]
LINE_MAX = 120
WORDS_MAX = 35
BANNED = re.compile(
    r"\b(anew|octets?|whoever|whatever|nobody|mends?|mended|likewise|stands at|lies in|comes to|not fit|gone on with|"
    r"laid aside|under watch|signs? of life|of which)\b",
    re.IGNORECASE,
)
DIAGRAM = re.compile(r"^```mermaid$(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_YET_REWRITTEN: set[str] = set()
"""Pages from before these rules. A page that is rewritten leaves this list; no page joins it."""
PAGES = [page for page in pages(ROOT) if str(page.relative_to(ROOT)) not in NOT_YET_REWRITTEN]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_plain(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    long_lines = [
        line for line in without_code_blocks(text).splitlines() if len(line) > LINE_MAX and not line.startswith("|")
    ]
    assert not long_lines
    assert not [sentence for sentence in sentences(text) if len(sentence.split()) > WORDS_MAX]
    if page.name != "glossary.md":
        assert not BANNED.findall(prose(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_diagram_has_a_semicolon_which_ends_a_statement_there(page: Path) -> None:
    assert not [block for block in DIAGRAM.findall(page.read_text(encoding="utf-8")) if ";" in block]


def test_the_list_of_old_pages_names_only_pages_that_exist() -> None:
    assert {name for name in NOT_YET_REWRITTEN if not (ROOT / name).is_file()} == set()


def test_the_rules_find_what_they_are_for() -> None:
    text = "One is on its way. " + "Word " * 40 + "end.\n\n| a table of which nobody complains |\n\nRead it anew.\n"
    assert [len(sentence.split()) > WORDS_MAX for sentence in sentences(text)] == [False, True, False]
    assert BANNED.findall(prose(text)) == ["anew"]
