"""A file of an export that cannot be read is refused with its path."""

from __future__ import annotations

from pathlib import Path

import pytest

from datafingerprint.errors import ConfigError
from services.generator.files import parts_of


def test_a_file_that_cannot_be_read_is_refused_until_it_can(tmp_path: Path) -> None:
    path = tmp_path / "players.sql"
    path.mkdir()
    with pytest.raises(ConfigError) as refused:
        list(parts_of(path))
    assert str(refused.value) == f"cannot read a seed file (Is a directory) at {path}: let the generator read it"
    path.rmdir()
    path.write_text("CREATE TABLE players (a INT);\n", encoding="utf-8")
    assert len(list(parts_of(path))) == 1
