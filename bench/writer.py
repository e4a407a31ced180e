"""Writes to the source at a rate or at full speed, and reports the times of the commits.

It reads one JSON object from standard input: `host`, `port`, `user`, `password`, `table`, `seconds`, `rows_per_s` (0:
no limit), `first` (the first new id). Each transaction inserts sixteen rows and updates four of those just before. It
writes one JSON object to standard output: `commits` (Unix times in seconds), `rows`, `seconds`.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import pymysql

INSERTED, UPDATED = 16, 4
RECENT = 2_000
"""Distance of the updated rows from the newest ones."""


def statements(table: str, first: int, number: int) -> tuple[str, str]:
    """The two statements of a transaction; `first` is its first new id."""
    ids = range(first, first + INSERTED)
    rows = ", ".join(
        f"({n}, {n % 30}, {n % 1000}, {n * 1_000_003}, {n % 10**8}.25, {n * 7 % 10**8}, 'player {n}', 'a note on {n}', "
        f"'2031-{4 + n % 6:02}-{1 + n % 28:02}', '2031-04-01 19:05:{n % 60:02}.{n % 10**6:06}', 'story of {n}')"
        for n in ids
    )
    back = [first - 1 - (number * 37 + step * 491) % RECENT for step in range(UPDATED)]
    chosen = ", ".join(str(row_id) for row_id in back)
    return f"INSERT INTO {table} VALUES {rows}", f"UPDATE {table} SET runs = runs + 1 WHERE id IN ({chosen})"


def write(connection: pymysql.Connection, options: dict[str, Any]) -> tuple[list[float], float]:
    """Writes.

    Returns:
        The times of the commits, and the seconds of all.
    """
    commits: list[float] = []
    per_transaction = INSERTED + UPDATED
    began = time.time()
    with connection.cursor() as cursor:
        while time.time() - began < options["seconds"]:
            number = len(commits)
            if options["rows_per_s"]:
                wait = began + number * per_transaction / options["rows_per_s"] - time.time()
                if wait > 0:
                    time.sleep(wait)
            for statement in statements(options["table"], options["first"] + number * INSERTED, number):
                cursor.execute(statement)
            connection.commit()
            commits.append(time.time())
    return commits, time.time() - began


def main() -> None:
    """Writes, and prints the report."""
    options = json.load(sys.stdin)
    login = {name: options[name] for name in ("host", "port", "user", "password")}
    connection = pymysql.connect(**login, charset="utf8mb4")
    commits, seconds = write(connection, options)
    connection.close()
    json.dump({"commits": commits, "rows": len(commits) * (INSERTED + UPDATED), "seconds": seconds}, sys.stdout)


if __name__ == "__main__":
    main()
