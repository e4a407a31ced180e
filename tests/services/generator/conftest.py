"""Schemas of the generator's live tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from datafingerprint.config import Settings
from tests.services.generator.running import connected


@pytest.fixture
def schemas(warehouse_settings: Settings) -> Iterator[tuple[str, str]]:
    names = ("generator_test_a", "generator_test_b")

    def drop() -> None:
        with connected(warehouse_settings) as connection, connection.cursor() as cursor:
            for name in names:
                # `IF EXISTS` alone would warn, and warnings are errors here
                if cursor.execute("SHOW DATABASES LIKE %s", (name,)):
                    cursor.execute(f"DROP DATABASE `{name}`")

    drop()
    yield names
    drop()
