"""A MySQL account that can learn no position of a view is granted what the error prints, on a real server."""

from __future__ import annotations

import re

import pymysql
import pytest
from pydantic import SecretStr

from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.config import Settings
from datafingerprint.errors import SourceError
from deploy.embedded.stack import EmbeddedStack
from tests.datafingerprint.binlog.following import execute, snapshot_of

pytestmark = [pytest.mark.live, pytest.mark.only("mysql")]

POOR = "positionless"


@pytest.mark.parametrize("way", ["the log's status", "locked tables"])
def test_either_grant_of_the_remedy_lets_the_same_account_take_a_snapshot(
    source: pymysql.Connection, stack_settings: Settings, stack: EmbeddedStack, way: str
) -> None:
    schema = stack_settings.generator.schema_name
    execute(source, "CREATE TABLE plain (id INT PRIMARY KEY)", "INSERT INTO plain VALUES (1), (2)")
    account = stack_settings.source.model_copy(update={"user": POOR, "password": SecretStr(POOR)})
    reader = BinlogSource(stack_settings.model_copy(update={"source": account}))
    with stack.blueprint.warehouse.connect_as_administrator() as administrator:
        execute(
            administrator,
            f"CREATE USER {POOR} IDENTIFIED BY '{POOR}'",
            f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {POOR}",
            f"GRANT SELECT ON {schema}.* TO {POOR}",
        )
        try:
            (table,) = reader.tables()
            with pytest.raises(SourceError, match="the position of a view is unknown") as refused:
                snapshot_of(reader, [table])
            execute(administrator, *granted(refused.value.remedy, schema, by_status=way == "the log's status"))
            position, rows = snapshot_of(reader, [table])
        finally:
            execute(administrator, f"DROP USER {POOR}")
    assert rows[table.table].column("id").to_pylist() == [1, 2]
    assert position.gtid


def granted(remedy: str, schema: str, *, by_status: bool) -> list[str]:
    """The statements of one of the two ways that a remedy names."""
    statements, _, other = remedy.partition("; or grant it ")
    if by_status:
        return statements.split("; ")
    account = re.search(r"TO ('\w+'@'[^']+')", statements)
    assert account is not None, remedy
    assert other == "LOCK TABLES on the captured schemas"
    return [f"GRANT LOCK TABLES ON {schema}.* TO {account[1]}"]
