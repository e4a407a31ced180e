"""Cascading keys are visible with the privileges of capture: only SELECT on the tables."""

from __future__ import annotations

import contextlib

import pymysql
import pytest

from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.config import Settings
from deploy.embedded.stack import EmbeddedStack

pytestmark = pytest.mark.live

READER = "keys_reader"


def test_keys_are_seen_by_an_account_that_may_only_read(
    stack: EmbeddedStack, source: pymysql.Connection, stack_settings: Settings
) -> None:
    schema = stack_settings.generator.schema_name
    with source.cursor() as cursor:
        cursor.execute("CREATE TABLE p (a INT, b INT, PRIMARY KEY (a, b))")
        cursor.execute(
            "CREATE TABLE c (k INT PRIMARY KEY, x INT, y INT, "
            "CONSTRAINT both_columns FOREIGN KEY (x, y) REFERENCES p (a, b) ON DELETE SET NULL ON UPDATE CASCADE)"
        )
        cursor.execute(
            "CREATE TABLE d (k INT PRIMARY KEY, x INT, CONSTRAINT refusing FOREIGN KEY (x) REFERENCES c (k))"
        )
    account = f"'{READER}'@'127.0.0.1'"
    privilege = "BINLOG MONITOR" if stack.blueprint.source == "mariadb" else "REPLICATION CLIENT"
    with (
        contextlib.closing(stack.blueprint.warehouse.connect_as_administrator()) as root,
        root.cursor() as cursor,
    ):
        cursor.execute(f"CREATE USER {account} IDENTIFIED BY 'reading'")
        try:
            cursor.execute(f"GRANT SELECT ON `{schema}`.* TO {account}")
            cursor.execute(f"GRANT REPLICATION SLAVE, {privilege} ON *.* TO {account}")
            password = type(stack_settings.source.password)("reading")
            reading = stack_settings.source.model_copy(update={"user": READER, "password": password})
            cascades = BinlogSource(stack_settings.model_copy(update={"source": reading})).cascades()
        finally:
            cursor.execute(f"DROP USER {account}")
    if stack.blueprint.source == "mysql":
        assert cascades.keys == frozenset()
        return
    (key,) = cascades.keys
    assert (key.child, key.columns, key.parent, key.referenced) == (
        f"{schema}.c",
        ("x", "y"),
        f"{schema}.p",
        ("a", "b"),
    )
    assert (key.name, key.on_delete, key.on_update) == ("both_columns", "SET NULL", "CASCADE")
