"""Names that lower-casing makes alike would be one field of the canonical row, so they are refused."""

from __future__ import annotations

import pytest

from datafingerprint.errors import SourceError
from datafingerprint.schema import refuse_ambiguous_names


@pytest.mark.parametrize("names", [["ß", "ẞ"], ["a", "b", "A"], ["Ǆ", "ǅ"]])
def test_columns_that_differ_only_in_case_are_refused(names: list[str]) -> None:
    with pytest.raises(SourceError, match="have the same canonical name at s\\.t: rename one of them"):
        refuse_ambiguous_names("s.t", names)


@pytest.mark.parametrize("names", [["ß", "ss"], ["a", "ä"], ["i", "\u0131"], []])
def test_columns_that_differ_otherwise_are_not(names: list[str]) -> None:
    refuse_ambiguous_names("s.t", names)
