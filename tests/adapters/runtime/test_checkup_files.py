"""The doctor checks catalog and state store without creating or changing anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from datafingerprint.adapters.iceberg.checkup import LakeCheckup
from datafingerprint.adapters.state.checkup import StateCheckup
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.checkup import CheckResult, Severity
from datafingerprint.config import Settings, load_settings


def settings_at(folder: Path) -> Settings:
    urls = {"state": {"url": f"sqlite:///{folder}/state.db"}, "lake": {"catalog": f"sqlite:///{folder}/catalog.db"}}
    return load_settings({**urls, "s3": {"endpoint": "http://127.0.0.1:1", "access_key": "a", "secret_key": "b"}}, {})


def results_of(settings: Settings) -> list[CheckResult]:
    results = [*LakeCheckup(settings).findings(None), *StateCheckup(settings.state).findings(None)]
    return [result for result in results if result.part in {"catalog", "state store"}]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_missing_files_are_not_created(tmp_path: Path) -> None:
    results = results_of(settings_at(tmp_path / "deep" / "data"))
    assert [result.severity for result in results] == [Severity.OK, Severity.OK]
    assert all("does not exist yet" in result.text for result in results)
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_tables_stays_as_it_is(tmp_path: Path) -> None:
    for name in ("state.db", "catalog.db"):
        (tmp_path / name).touch()
    before = contents(tmp_path)
    assert {result.severity for result in results_of(settings_at(tmp_path))} == {Severity.OK}
    assert contents(tmp_path) == before


def test_a_store_that_is_there_is_read_only(tmp_path: Path) -> None:
    settings = settings_at(tmp_path)
    store = SqlStateStore(settings.state.url.get_secret_value())
    store.progress()
    store.close()
    before = contents(tmp_path)
    texts = [result.text for result in StateCheckup(settings.state).findings(None)]
    assert texts == ["it is of this version", "its sums are at epoch 0"]
    assert contents(tmp_path) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_may_not_be_written_is_a_problem(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert {result.severity for result in results_of(settings_at(tmp_path / "data"))} == {
            Severity.OK,
            Severity.PROBLEM,
        }
    finally:
        tmp_path.chmod(0o700)


def test_a_file_in_place_of_a_directory_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    problems = [result for result in results_of(settings_at(tmp_path / "file")) if result.severity is Severity.PROBLEM]
    assert {problem.part for problem in problems} == {"catalog", "state store"}
    assert {problem.text for problem in problems} == {f"{tmp_path / 'file'} is not a directory"}
