"""A changed settings file is read when it has settled, and answered once."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from structlog.testing import LogCapture

from datafingerprint.adapters.runtime.settings import read_settings
from datafingerprint.adapters.runtime.settings_file import SETTLED_S, SettingsFile
from datafingerprint.config import CONFIG_VARIABLE, TableSettings
from datafingerprint.errors import SourceError
from datafingerprint.table_filter import TableFilter


class Watched:
    """A settings file, its watcher, and the time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0.0
        self.capture = LogCapture()
        log = structlog.wrap_logger(structlog.ReturnLogger(), processors=[self.capture])
        self.write('[source]\ntables = ["a.*"]\n')
        self.file = SettingsFile(str(path), read_settings(str(path)), log, lambda: self.now)
        assert self.after() is None

    def write(self, text: str) -> None:
        self.path.write_text(text, encoding="utf-8")

    def look(self, seconds: float) -> tuple[str, ...] | None:
        self.now += seconds
        table_filter = self.file.waiting()
        return None if table_filter is None else table_filter.patterns

    def after(self) -> tuple[str, ...] | None:
        """The waiting filter once the file has settled."""
        self.look(0.0)
        return self.look(SETTLED_S)

    def events(self) -> list[str]:
        return [str(entry["event"]) for entry in self.capture.entries]


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    monkeypatch.delenv("DFP_SOURCE_TABLES", raising=False)
    return Watched(tmp_path / "datafingerprint.toml")


def test_a_file_that_is_still_being_written_is_not_read(watched: Watched) -> None:
    # Without its last line it is valid, and chooses the default.
    watched.write("[source]\n")
    assert watched.look(0.0) is None
    assert watched.look(SETTLED_S / 2) is None
    watched.write('[source]\ntables = ["b.*"]\n')
    assert watched.look(SETTLED_S / 2) is None
    assert watched.look(SETTLED_S / 2) is None
    assert watched.look(SETTLED_S / 2) == ("b.*",)


def test_a_filter_waits_until_it_is_applied_and_is_then_in_force(watched: Watched) -> None:
    watched.write('[source]\ntables = ["b.*"]\n')
    assert (watched.after(), watched.look(100.0)) == (("b.*",), ("b.*",))
    table_filter = watched.file.waiting()
    assert table_filter is not None
    watched.file.take(table_filter)
    assert watched.look(100.0) is None
    assert watched.file.settings.source.tables == ("b.*",)
    assert watched.events() == ["table filter applied"]


def test_a_refused_filter_is_not_offered_again_until_the_file_changes(watched: Watched) -> None:
    watched.write('[source]\ntables = ["b.*"]\n')
    assert watched.after() == ("b.*",)
    watched.file.refuse(SourceError("no table matches b.*"))
    assert watched.look(100.0) is None
    assert watched.file.in_force.patterns == ("a.*",)
    watched.write('[source]\ntables = ["c.c"]\n')
    assert watched.after() == ("c.c",)


def test_a_filter_that_is_withdrawn_before_an_answer_no_longer_waits(watched: Watched) -> None:
    watched.write('[source]\ntables = ["b.*"]\n')
    assert watched.after() == ("b.*",)
    watched.write('[source]\ntables = ["a.*"]  # as before\n')
    assert (watched.look(0.0), watched.look(SETTLED_S), watched.events()) == (None, None, [])


@pytest.mark.parametrize("gone", [True, False])
def test_a_missing_or_invalid_file_changes_nothing_and_is_logged_once(watched: Watched, *, gone: bool) -> None:
    if gone:
        watched.path.unlink()
    else:
        watched.write("[source]\ntabels = []\n")
    assert (watched.after(), watched.look(100.0)) == (None, None)
    assert watched.events() == ["changed settings are refused, the previous ones stay in force"]
    watched.write('[source]\ntables = ["b.*"]\n')
    assert watched.after() == ("b.*",)


def test_the_environment_overrides_the_file(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFP_SOURCE_TABLES", "a.*")
    watched.write('[source]\ntables = ["b.*"]\n')
    assert (watched.after(), watched.events()) == (None, [])


def test_only_new_tables_get_new_sections() -> None:
    before = TableFilter(("s.a",), {"s.a": TableSettings(partition=("x",)), "s.b": TableSettings(partition=("x",))})
    after = TableFilter(("s.*",), {"s.a": TableSettings(partition=("y",)), "s.c": TableSettings(partition=("y",))})
    assert after.keep_settings(before, {"s.a"}) == TableFilter(
        ("s.*",), {"s.a": TableSettings(partition=("x",)), "s.c": TableSettings(partition=("y",))}
    )
