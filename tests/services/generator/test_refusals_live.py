"""A league that cannot be played or copied is refused, and what the error prints makes the same start pass."""

from __future__ import annotations

import pytest

from datafingerprint.config import Settings
from tests.services.generator.running import ask, connected, run

pytestmark = pytest.mark.live

REFUSED = 2


def changed(settings: Settings, schema: str, statement: str) -> None:
    with connected(settings, schema) as connection, connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize("table", ["games", "team_record", "players"])
def test_a_league_without_rows_of_one_table_is_refused_and_loaded_again_once_its_schema_is_dropped(
    warehouse_settings: Settings, schemas: tuple[str, str], table: str
) -> None:
    schema = schemas[0]
    assert run(warehouse_settings, schema, "--seed-only")[0] == 0
    changed(warehouse_settings, schema, f"DELETE FROM {table}")
    status, said = run(warehouse_settings, schema, "--games", "1", "--rate", "0")
    assert (status, said.count("the league is incomplete: games, team_record or players is empty")) == (REFUSED, 1)
    assert "drop the schema; the generator then loads its seed again" in said
    changed(warehouse_settings, schema, f"DROP DATABASE `{schema}`")
    assert run(warehouse_settings, schema, "--games", "1", "--rate", "0")[0] == 0
    assert ask(warehouse_settings, schema, f"SELECT COUNT(*) > 0 FROM {table}") == [(1,)]


def test_a_league_with_numbers_of_a_copy_is_not_copied_and_is_played_without_scale(
    warehouse_settings: Settings, schemas: tuple[str, str]
) -> None:
    schema = schemas[0]
    assert run(warehouse_settings, schema, "--seed-only")[0] == 0
    changed(warehouse_settings, schema, "UPDATE parks SET park_id = 5000 ORDER BY park_id DESC LIMIT 1")
    status, said = run(warehouse_settings, schema, "--scale", "2", "--seed-only")
    assert (status, said.count("the league cannot be copied: parks.park_id has numbers of 1,000 and more")) == (
        REFUSED,
        1,
    )
    assert "load it without --scale" in said
    assert ask(warehouse_settings, schema, "SELECT COUNT(*) FROM leagues") == [(2,)]
    assert run(warehouse_settings, schema, "--games", "1", "--rate", "0")[0] == 0
