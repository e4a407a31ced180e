"""What Glue cannot hold, and missing keys, are refused before anything is asked of it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from datafingerprint.adapters.iceberg.glue import GlueCopy
from datafingerprint.column_types import column
from datafingerprint.config import S3
from datafingerprint.errors import ConfigError
from datafingerprint.schema import TableSchema

NOWHERE = "http://127.0.0.1:9"
NO_LAKE: Any = None


def table(name: str) -> TableSchema:
    return TableSchema("s", name, (column("id", "int", nullable=False, charset=None),), ("id",))


def test_a_name_that_glue_would_write_otherwise_is_refused() -> None:
    with closing(GlueCopy(S3(), NOWHERE)) as glue, pytest.raises(ConfigError, match=r"s\.Big is s\.Big") as refused:
        glue.update(NO_LAKE, [table("Big")])
    assert "Glue stores names in lower case" in refused.value.what
    assert refused.value.remedy.startswith("use another engine")


def test_without_keys_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with closing(GlueCopy(S3(), NOWHERE)) as glue, pytest.raises(ConfigError, match="no keys to sign with") as refused:
        glue.update(NO_LAKE, [table("small")])
    assert refused.value.where == NOWHERE
