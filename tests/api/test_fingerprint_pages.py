"""Pages of `/v1/fingerprints` are parts of the whole answer, and read only their own partitions."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import get_args

import pytest

from api.fingerprint_pages import fingerprints
from api.fingerprints import table_fingerprints
from api.models import Outcome as Word
from api.models import TableFingerprint
from api.ports import StateView
from api.selection import Selection, select_partitions
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.ledger import StoredVerdict
from tests.adapters.state.test_many_tables import fill

TABLES = 7
PATTERNS = (None, "s.*", "s.t000[12]", "other.*")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlStateStore]:
    with closing(SqlStateStore(f"sqlite:///{tmp_path_factory.mktemp('pages')}/state.db")) as filled:
        fill(filled, TABLES)
        yield filled


def slow(view: StateView, verdict: Word | None, pattern: str | None) -> list[TableFingerprint]:
    """Reads everything and selects afterwards."""
    tables = [table for table in table_fingerprints(view) if verdict in (None, table.verdict)]
    tables = [table for table in tables if pattern is None or fnmatch.fnmatchcase(table.table, pattern)]
    return tables if verdict is None else [select_partitions(table, Selection(verdict)) for table in tables]


@pytest.mark.parametrize("verdict", [None, *get_args(Word)])
@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("limit", [None, 1, 2, TABLES, 50])
def test_all_pages_together_are_the_selected_part_of_the_whole(
    store: SqlStateStore, verdict: Word | None, pattern: str | None, limit: int | None
) -> None:
    with store.reading() as view:
        whole = fingerprints(view)
        pages: list[list[TableFingerprint]] = []
        cursor = None
        while not pages or cursor is not None:
            page = fingerprints(view, Selection(verdict, limit, cursor), pattern)
            assert (page.verdict, page.epoch) == (whole.verdict, whole.epoch)
            assert limit is None or len(page.items) <= limit
            pages.append(page.items)
            cursor = page.next_cursor
        assert [item for items in pages for item in items] == slow(view, verdict, pattern)


def test_a_page_reads_the_partitions_of_its_own_tables_only(
    store: SqlStateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.reading() as view:
        asked: list[object] = []
        verdicts = view.verdicts

        def noted(names: Sequence[str]) -> Sequence[StoredVerdict]:
            asked.append(names)
            return verdicts(names)

        monkeypatch.setattr(view, "verdicts", noted)
        fingerprints(view, Selection(limit=2))
    assert asked == [["s.t0000", "s.t0001"]]
