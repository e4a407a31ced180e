"""`docs/format.md` is what the code does: every example on the page runs."""

from __future__ import annotations

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "format.md"


def test_every_example_of_the_format_page_gives_what_the_page_shows() -> None:
    failures, examples = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert examples > 20, "the page lost its examples"
    assert failures == 0
