"""The generator as a process, what its schema holds afterwards, and a warehouse that loses connections."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pymysql

from datafingerprint.adapters.mysql.warehouse import MysqlWarehouse, Sql
from datafingerprint.config import Settings, Source
from datafingerprint.errors import Unavailable


def environment(settings: Settings, schema: str) -> dict[str, str]:
    source = settings.source
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("DFP_")},
        "DFP_SOURCE_HOST": source.host,
        "DFP_SOURCE_PORT": str(source.port),
        "DFP_SOURCE_USER": source.user,
        "DFP_SOURCE_PASSWORD": source.password.get_secret_value(),
        "DFP_GENERATOR_SCHEMA_NAME": schema,
    }


def start(settings: Settings, schema: str, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "services.generator", *arguments]
    return subprocess.Popen(command, env=environment(settings, schema), stderr=subprocess.PIPE, text=True)


def run(settings: Settings, schema: str, *arguments: str) -> tuple[int, str]:
    with start(settings, schema, *arguments) as process:
        _, said = process.communicate(timeout=60)
        return process.returncode, said


@contextmanager
def connected(settings: Settings, schema: str | None = None) -> Iterator[pymysql.Connection[Any]]:
    source = settings.source
    connection = pymysql.connect(
        host=source.host,
        port=source.port,
        user=source.user,
        password=source.password.get_secret_value(),
        database=schema,
        autocommit=True,
    )
    try:
        yield connection
    finally:
        connection.close()


def ask(settings: Settings, schema: str, sql: str) -> list[tuple[Any, ...]]:
    with connected(settings, schema) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


class LossyWarehouse(MysqlWarehouse):
    """Loses some transactions before COMMIT, and the reply to some others."""

    def __init__(self, source: Source, schema: str, lost_before: Container[int], lost_after: Container[int]) -> None:
        super().__init__(source, schema)
        self._lost_before, self._lost_after = lost_before, lost_after
        self._count = 0

    def transact(self, statements: Iterable[Sql]) -> int:
        self._count += 1
        if self._count in self._lost_before:
            self.close()
            raise Unavailable("lost before COMMIT")
        changed = super().transact(statements)
        if self._count in self._lost_after:
            self.close()
            raise Unavailable("lost after COMMIT")
        return changed
