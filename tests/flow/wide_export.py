"""An export of seventy tables, as many and of such types and keys as a whole league's has, written for each test.

Seventeen are the league's own, with the first rows of its seed; three of those that playing needs are missing. The
others are made up from a line each. More than half of all have no key, keys have up to four columns, 283 columns are
DOUBLE.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.generator.export import Kind
from services.generator.files import parts_of
from services.generator.inserts import row_texts
from services.generator.seed_sql import seed_file
from services.generator.tables import TABLES

LACKING = ("divisions", "games_score", "team_record")
ROWS = 24
ROWS_OF_SEED = 20

# name, then how many columns: of the key (INT), INT, SMALLINT, DOUBLE, TINYINT, VARCHAR, DATE
SHAPES = """
areas               1   4  0   2  0  2  0
award_years         0   3  8   0  0  0  0
award_votes         0   5  0   0  0  0  0
ballpark_weather    2   2 12   9  0  1  0
bat_seasons         0  29  3  10  0  0  0
bat_splits          0  27  3  13  0  0  0
bat_by_club         2  26  5   9  0  0  0
boards              0   9  2   0  3  0  0
bullpens            1  43  3  24  0  0  0
calls_up            0   2  3   0  0  0  0
club_books          1  38  7   1  0  0  0
club_books_before   1  34  6   1  0  0  0
club_books_by_year  2  35  9   1  0  0  0
club_friends        2   0  0   0  0  0  0
club_lines          2   6  4   0  3  3  0
club_members        3   0  1   0  0  0  0
club_order          4   0  0   0  0  0  0
club_staff          1  11  0   0  0  0  0
club_years          2   2 10   0  0  0  0
continents          1   2  0   0  0  3  0
contracts           0  28  8   0  9  0  0
contracts_to_come   0  28  7   0  9  0  0
countries           1   7  0   0  2  4  0
defence_by_club     1  16  4   4  0  0  0
defence_by_year     2  16  6   4  0  0  0
defence_seasons     0  19  4   4  0  0  0
defence_ratings     0   3 40   0  0  0  0
defence_leaders     0  33  4   7  0  0  0
duels               0   2  3   0  0  0  0
finals              0   3 54   0  2 50  0
finals_pairs        0   4  5   0  1  0  0
hand_ratings        0   3 39   0  0  0  0
honours             1  16  0   0  0  0  0
humans              0  12 14   0  3  3  1
humans_books        0  18  6   1  0  0  0
humans_lines        0   5  7   2  0  0  0
languages           1   0  0   0  0  1  0
leaders             0   2  4   1  0  0  0
loans               1   2  2   0  0  0  0
pitch_ratings       0   3 64   0  0  0  0
pitch_seasons       0  46  3  25  0  0  0
pitch_splits        0  48  3  31  0  0  0
pitch_by_year       2  43  5  22  0  0  0
regions             2   2  0   0  0  2  0
rosters             0   4 20   0 14  0  0
runs_in_a_row       0   2  2   0  1  0  2
salaries            0   3  2   0  0  0  0
speakers            4   0  0   0  0  0  0
starters            1  43  3  24  0  0  0
starters_to_come    0   9  0   0  0  0  0
streaks             0   3 33   0  0  0  0
trainers            1  47 46   0  0  3  1
worth               0   3 38   4  0  0  0
"""
TYPES = ("INT", "SMALLINT", "DOUBLE", "TINYINT", "VARCHAR(30)", "DATE")
AWKWARD = {
    "INT": ("-2147483648", "2147483647", "0", "NULL"),
    "SMALLINT": ("-32768", "32767", "NULL"),
    "DOUBLE": ("0.1", "0.30000000000000004", "-1e-300", "1.7976931348623157e308", "33.333333333333336", "0", "NULL"),
    "TINYINT": ("-128", "127", "1", "0", "NULL"),
    "VARCHAR(30)": ("''", "'it''s; \\'so\\''", "'陳 Šimůnek №'", "'a\r\nb'", "' NULL '", "NULL"),
    "DATE": ("'1871-05-04'", "'2031-12-31'", "NULL"),
}


@dataclass(frozen=True)
class Table:
    """A table that was made up: its name, how many columns its key has, and the types of all the others."""

    name: str
    key: int
    types: tuple[str, ...]

    @property
    def create(self) -> str:
        """The statement that makes it."""
        columns = [f"  `key_{number}` INT NOT NULL" for number in range(self.key)]
        columns += [f"  `{self.column(place)}` {kind} DEFAULT NULL" for place, kind in enumerate(self.types)]
        if self.key:
            columns.append(f"  PRIMARY KEY ({', '.join(f'`key_{number}`' for number in range(self.key))})")
        return f"CREATE TABLE `{self.name}` (\n" + ",\n".join(columns) + "\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"

    def column(self, place: int) -> str:
        """The name of a column that is none of the key's."""
        return f"{self.types[place].partition('(')[0].lower()}_{place}"

    def rows(self) -> list[str]:
        """Its rows as SQL; where there is no key, some are there twice."""
        chance = random.Random(self.name)
        rows = [f"({','.join([*self._key(number), *self._values(chance)])})" for number in range(ROWS)]
        return rows if self.key else [*rows, *rows[::5]]

    def _key(self, number: int) -> Iterator[str]:
        return (str(number // 3 if place < self.key - 1 else number) for place in range(self.key))

    def _values(self, chance: random.Random) -> Iterator[str]:
        for kind in self.types:
            if chance.random() < 0.2:  # one in five is awkward
                yield chance.choice(AWKWARD[kind])
            elif kind == "DOUBLE":
                yield repr(chance.uniform(-1, 1) / 3)
            elif kind == "DATE":
                yield f"'20{chance.randint(10, 31)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}'"
            else:
                number = chance.randint(0, 100)
                yield f"'name {number}'" if "CHAR" in kind else str(number)


def made_up() -> list[Table]:
    """The tables of `SHAPES`."""
    tables = []
    for line in SHAPES.split("\n")[1:-1]:
        name, key, *counts = line.split()
        types = [kind for kind, count in zip(TYPES, counts, strict=True) for _ in range(int(count))]
        random.Random(name).shuffle(types)
        tables.append(Table(name, int(key), tuple(types)))
    return tables


def write_export(folder: Path) -> list[str]:
    """Writes the files, in three forms that exports have in turn; answers the names of the tables."""
    folder.mkdir()
    names = [table.name for table in TABLES if table.name not in LACKING]
    for name in names:
        result = list(parts_of(seed_file(name)))
        (create,) = (part.sql for part in result if part.kind is Kind.CREATE)
        first = next(part for part in result if part.kind is Kind.INSERT)
        _write(folder, name, create, (row_texts(first) or [])[:ROWS_OF_SEED])
    for table in made_up():
        _write(folder, table.name, table.create, table.rows())
        names.append(table.name)
    return names


def _write(folder: Path, name: str, create: str, rows: list[str]) -> None:
    head = f"INSERT INTO `{name}` VALUES "
    forms = (
        f"DROP TABLE IF EXISTS `{name}`;\n{create};\n" + "".join(f"{head}{row};\n" for row in rows),
        f"/*!40101 SET NAMES utf8mb4 */;\n/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;\n"
        f"{create};\nLOCK TABLES `{name}` WRITE;\n/*!40000 ALTER TABLE `{name}` DISABLE KEYS */;\n"
        + head + ",".join(rows) + ";\nUNLOCK TABLES;\n/*!40101 SET SQL_MODE=@OLD_SQL_MODE */;\n",
        "\ufeff-- of another system\r\n" + create.replace("\n", "\r\n") + ";\r\n" + head + ",\r\n".join(rows) + ";\r\n",
    )  # fmt: skip
    form = forms[sum(name.encode()) % len(forms)]
    (folder / f"{name}.mysql.sql").write_bytes(form.encode())
