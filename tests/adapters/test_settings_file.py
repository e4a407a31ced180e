"""A settings file that changes is read when it was left alone, and answered once."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from structlog.testing import LogCapture

from datafingerprint.adapters.settings import read_settings
from datafingerprint.adapters.settings_file import SETTLED_S, SettingsFile
from datafingerprint.choice import Choice
from datafingerprint.config import CONFIG_VARIABLE, TableSettings
from datafingerprint.errors import SourceError


class Watched:
    """A settings file, what looks at it, and the time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = 0.0
        self.said = LogCapture()
        log = structlog.wrap_logger(structlog.ReturnLogger(), processors=[self.said])
        self.write('[source]\ntables = ["a.*"]\n')
        self.file = SettingsFile(str(path), read_settings(str(path)), log, lambda: self.now)
        assert self.after() is None

    def write(self, text: str) -> None:
        self.path.write_text(text, encoding="utf-8")

    def look(self, seconds: float) -> tuple[str, ...] | None:
        self.now += seconds
        found = self.file.waiting()
        return None if found is None else found.patterns

    def after(self) -> tuple[str, ...] | None:
        """What waits once the file has been left alone."""
        self.look(0.0)
        return self.look(SETTLED_S)

    def events(self) -> list[str]:
        return [str(one["event"]) for one in self.said.entries]


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


def test_a_choice_waits_until_it_is_taken_and_is_then_in_force(watched: Watched) -> None:
    watched.write('[source]\ntables = ["b.*"]\n')
    assert (watched.after(), watched.look(100.0)) == (("b.*",), ("b.*",))
    choice = watched.file.waiting()
    assert choice is not None
    watched.file.take(choice)
    assert watched.look(100.0) is None
    assert watched.file.settings.source.tables == ("b.*",)
    assert watched.events() == ["settings taken up"]


def test_one_that_is_refused_is_not_offered_again_until_the_file_changes(watched: Watched) -> None:
    watched.write('[source]\ntables = ["b.*"]\n')
    assert watched.after() == ("b.*",)
    watched.file.refuse(SourceError("no table matches b.*"))
    assert watched.look(100.0) is None
    assert watched.file.in_force.patterns == ("a.*",)
    watched.write('[source]\ntables = ["c.c"]\n')
    assert watched.after() == ("c.c",)


def test_a_choice_that_is_taken_back_before_it_was_answered_does_not_wait_any_more(watched: Watched) -> None:
    watched.write('[source]\ntables = ["b.*"]\n')
    assert watched.after() == ("b.*",)
    watched.write('[source]\ntables = ["a.*"]  # as before\n')
    assert (watched.look(0.0), watched.look(SETTLED_S), watched.events()) == (None, None, [])


@pytest.mark.parametrize("gone", [True, False])
def test_a_file_that_is_gone_or_no_settings_changes_nothing_and_is_said_once(watched: Watched, *, gone: bool) -> None:
    if gone:
        watched.path.unlink()
    else:
        watched.write("[source]\ntabels = []\n")
    assert (watched.after(), watched.look(100.0)) == (None, None)
    assert watched.events() == ["changed settings are refused, those of before stay in force"]
    watched.write('[source]\ntables = ["b.*"]\n')
    assert watched.after() == ("b.*",)


def test_the_environment_stands_over_the_file(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFP_SOURCE_TABLES", "a.*")
    watched.write('[source]\ntables = ["b.*"]\n')
    assert (watched.after(), watched.events()) == (None, [])


def test_only_tables_that_come_take_new_sections() -> None:
    before = Choice(("s.a",), {"s.a": TableSettings(partition=("x",)), "s.b": TableSettings(partition=("x",))})
    after = Choice(("s.*",), {"s.a": TableSettings(partition=("y",)), "s.c": TableSettings(partition=("y",))})
    assert after.beside(before, {"s.a"}) == Choice(
        ("s.*",), {"s.a": TableSettings(partition=("x",)), "s.c": TableSettings(partition=("y",))}
    )
