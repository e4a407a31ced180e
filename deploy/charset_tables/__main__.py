"""`python -m deploy.charset_tables`: writes `datafingerprint/charsets/tables/` anew from a MySQL that it starts itself.

MySQL has every character set that MariaDB has, and gb18030; a live test proves that both convert alike.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import datafingerprint.charsets
from datafingerprint.charsets import TABLES
from deploy.charset_tables.reading import fill_codes, read_table, runs
from deploy.embedded.stack import EmbeddedStack

FOLDER = Path(datafingerprint.charsets.__file__).parent / "tables"
EXCEPTIONS = {"gb18030": {bytes.fromhex("8135f437"): "\ue7c7"}}
"""The one code of four octets that does not follow the library's rule: A8BC has taken the place that it has there."""


def main() -> None:
    """Writes one file for each character set."""
    with tempfile.TemporaryDirectory() as folder, EmbeddedStack(Path(folder), "mysql") as stack:
        connection = stack.blueprint.warehouse.connect_as_administrator()
        with connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE charsets")
            cursor.execute("USE charsets")
            fill_codes(cursor)
            for charset in sorted(TABLES):
                table = read_table(cursor, charset) | EXCEPTIONS.get(charset, {})
                lines = [
                    f" {json.dumps(code)}: {json.dumps(text, ensure_ascii=False)}" for code, text in runs(table).items()
                ]
                (FOLDER / f"{charset}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
