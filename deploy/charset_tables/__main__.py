"""`python -m deploy.charset_tables`: writes the charset tables from running servers.

MySQL has every character set that MariaDB has, and gb18030; a live test proves that both convert alike.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datafingerprint.charsets
from datafingerprint.charsets import TABLES
from deploy.charset_tables.reading import fill_codes, read_collations, read_table, runs, spans
from deploy.embedded.blueprint import SourceName
from deploy.embedded.stack import EmbeddedStack

FOLDER = Path(datafingerprint.charsets.__file__).parent / "tables"
SERVERS: tuple[SourceName, ...] = ("mysql", "mariadb")
EXCEPTIONS = {"gb18030": {bytes.fromhex("8135f437"): "\ue7c7"}}
"""The one four-byte code that differs from the library's rule: A8BC has its place there."""


def main() -> None:
    """Writes one file for each character set, and one of all collations of both servers."""
    collations: dict[int, str] = {}
    for source in SERVERS:
        with tempfile.TemporaryDirectory() as folder, EmbeddedStack(Path(folder), source) as stack:
            connection = stack.blueprint.warehouse.connect_as_administrator()
            with connection, connection.cursor() as cursor:
                collations |= read_collations(cursor)
                if source == "mysql":
                    write_tables(cursor)
    (FOLDER.parent / "collations.json").write_text(_lines(spans(collations)), encoding="utf-8")


def write_tables(cursor: Any) -> None:  # noqa: ANN401 - a pymysql cursor
    """Writes the table of every character set."""
    cursor.execute("CREATE DATABASE charsets")
    cursor.execute("USE charsets")
    fill_codes(cursor)
    for charset in sorted(TABLES):
        table = read_table(cursor, charset) | EXCEPTIONS.get(charset, {})
        (FOLDER / f"{charset}.json").write_text(_lines(runs(table)), encoding="utf-8")


def _lines(document: Mapping[str, object]) -> str:
    lines = [f" {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in document.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    main()
