"""The effect of an ALTER TABLE on existing rows: none, new NULL columns, or another.

Clauses are compared with lists of known ones. The server's own description of the table cannot be used. It may be
ahead of the binlog, and does not show that a column was dropped and added again.
"""

from __future__ import annotations

from dataclasses import dataclass

from datafingerprint.binlog.tokens import Kind, TokenReader, Tokens, split

_OPTIONS = frozenset(
    [
        *("ENGINE", "AUTO_INCREMENT", "AUTOEXTEND_SIZE", "AVG_ROW_LENGTH", "CHARSET", "COLLATE", "CHECKSUM", "COMMENT"),
        *("COMPRESSION", "DELAY_KEY_WRITE", "ENCRYPTION", "ENCRYPTED", "ENCRYPTION_KEY_ID", "ENGINE_ATTRIBUTE"),
        *("KEY_BLOCK_SIZE", "MAX_ROWS", "MIN_ROWS", "PACK_KEYS", "PAGE_CHECKSUM", "PAGE_COMPRESSED"),
        *(
            "PAGE_COMPRESSION_LEVEL",
            "ROW_FORMAT",
            "SECONDARY_ENGINE",
            "SECONDARY_ENGINE_ATTRIBUTE",
            "STATS_AUTO_RECALC",
        ),
        *("STATS_PERSISTENT", "STATS_SAMPLE_PAGES", "STORAGE", "TABLE_CHECKSUM", "TRANSACTIONAL", "ALGORITHM", "LOCK"),
        "TABLESPACE",
    ]
)
"""Table options that do not change rows. `ENGINE` belongs to them only if it is InnoDB."""

_KEYS = ("UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR", "INDEX", "KEY", "FOREIGN", "CHECK")
_NO_COLUMN = frozenset([*_KEYS, "CONSTRAINT", "PARTITION", "PERIOD", "PRIMARY", "SYSTEM"])
"""Words after ADD that do not begin a column. A column of that name needs quotation marks."""

_NEUTRAL_HEADS = (
    *(("ADD", "PARTITION"), ("DROP", "FOREIGN", "KEY"), ("RENAME", "INDEX"), ("RENAME", "KEY")),
    *(("ALTER", kind) for kind in ("INDEX", "KEY", "CHECK", "CONSTRAINT")),
    *(("ENABLE", "KEYS"), ("DISABLE", "KEYS"), ("WITH", "VALIDATION"), ("WITHOUT", "VALIDATION")),
    *(("COALESCE", "PARTITION"), ("REORGANIZE", "PARTITION"), ("UPGRADE", "PARTITIONING")),
)
_NEUTRAL_LISTS = (
    *((verb, "PARTITION") for verb in ("REORGANIZE", "REBUILD", "OPTIMIZE", "ANALYZE", "CHECK")),
    ("ORDER", "BY"),
)
"""Heads that are followed by a list of names with commas."""

_NEUTRAL_WORDS = frozenset({"FORCE", "SECONDARY_LOAD", "SECONDARY_UNLOAD"})
_NEUTRAL_TAILS = (("PARTITION", "BY"), ("REMOVE", "PARTITIONING"))
"""What may come at the end, with or without a comma before it."""

_ATTRIBUTES = (
    *(("UNSIGNED",), ("SIGNED",), ("ZEROFILL",), ("PRECISION",), ("VARYING",), ("BINARY",), ("ASCII",), ("UNICODE",)),
    *(("INVISIBLE",), ("VISIBLE",), ("UNIQUE", "KEY"), ("UNIQUE",)),
    *(("NOT", "ENFORCED"), ("ENFORCED",), ("WITHOUT", "SYSTEM", "VERSIONING")),
)
"""Attributes of a new column that give existing rows no value."""

_ATTRIBUTES_OF_ONE_WORD = (("COLUMN_FORMAT",), ("STORAGE",), ("SRID",), ("REF_SYSTEM_ID",))
_ATTRIBUTES_OF_A_TEXT = (("COMMENT",), ("ENGINE_ATTRIBUTE",), ("SECONDARY_ENGINE_ATTRIBUTE",))
_CHARACTER_SETS = (("CHARACTER", "SET"), ("CHARSET",), ("COLLATE",))
_LONGER_TYPES = {
    "NATIONAL": frozenset({"CHAR", "CHARACTER", "VARCHAR", "VARCHARACTER"}),
    "LONG": frozenset({"CHAR", "CHARACTER", "VARCHAR", "VARCHARACTER", "VARBINARY"}),
}
_NOW = ("CURRENT_TIMESTAMP", "NOW", "LOCALTIME", "LOCALTIMESTAMP")
_NOT_NULL_BY_DEFAULT = frozenset({"SERIAL", "TIMESTAMP"})
"""Types that are NOT NULL unless the definition contains NULL."""


@dataclass(frozen=True, slots=True)
class AddedColumn:
    """A new column that is NULL in every existing row.

    Attributes:
        name: As the statement spells it.
        after: The column before it. Empty if it is the first column, None if it is the last.
    """

    name: str
    after: str | None


@dataclass(frozen=True, slots=True)
class Alteration:
    """The effect of an ALTER TABLE on existing rows.

    Attributes:
        added: New columns that are NULL in all rows.
        unknown: The first words of the first clause whose effect on rows is not known.
        loses_rows: Whether whole partitions of the server's table were removed or added. The log lacks their rows.
    """

    added: tuple[AddedColumn, ...] = ()
    unknown: str = ""
    loses_rows: bool = False


def parse_alteration(clauses: Tokens) -> Alteration:
    """The effect of the clauses of an ALTER TABLE, as `Statement.clauses` holds them."""
    parts = split(_drop_tail(clauses))
    if _moves_partitions(parts):
        return Alteration(loses_rows=True)
    added: list[AddedColumn] = []
    is_list = False
    for clause in parts:
        is_list = is_list or any(TokenReader(clause).accept(*head) for head in _NEUTRAL_LISTS)
        columns = _added_columns(clause)
        if columns is not None:
            added += columns
        elif not (_leaves_rows(clause) or (is_list and _is_list_item(clause))):
            return Alteration(
                unknown=" ".join(token.text for token in clause[:3] if token.kind in (Kind.WORD, Kind.NAME))
            )
    return Alteration(tuple(added))


def _drop_tail(clauses: Tokens) -> Tokens:
    depth = 0
    for index, token in enumerate(clauses):
        if depth == 0 and (
            token.is_sign(";") or any(TokenReader(clauses[index:]).accept(*tail) for tail in _NEUTRAL_TAILS)
        ):
            return clauses[:index]
        depth += token.is_sign("(") - token.is_sign(")")
    return clauses


def _moves_partitions(parts: list[Tokens]) -> bool:
    """Whether rows are removed or added with partitions.

    With such a clause servers accept only table options in the same statement.
    """
    parts = [part for part in parts if not _is_options(TokenReader(part))]
    if not parts:
        return False
    reader = TokenReader(parts[0])
    if (
        reader.accept("EXCHANGE", "PARTITION")
        or reader.accept("CONVERT", "TABLE")
        or reader.accept("CONVERT", "PARTITION")
    ):
        return reader.name() is not None and len(parts) == 1
    if not (reader.accept("DROP", "PARTITION") or reader.accept("TRUNCATE", "PARTITION")):
        return False
    reader.accept("IF", "EXISTS")
    return reader.name() is not None and not reader.rest and all(_is_one_name(part) for part in parts[1:])


def _is_one_name(part: Tokens) -> bool:
    reader = TokenReader(part)
    return reader.name() is not None and not reader.rest


def _is_list_item(clause: Tokens) -> bool:
    """Whether a clause is a further item of a list: a partition, or a column to order by."""
    reader = TokenReader(clause)
    is_named = reader.name() is not None
    if reader.accept("INTO"):  # REORGANIZE PARTITION p, q INTO (…)
        reader.accept_group()
    reader.accept_any("ASC", "DESC")
    return is_named and not reader.rest


def _leaves_rows(clause: Tokens) -> bool:
    reader = TokenReader(clause)
    if reader.word in _NEUTRAL_WORDS:
        return len(clause) == 1
    if any(TokenReader(clause).accept(*head) for head in (*_NEUTRAL_HEADS, *_NEUTRAL_LISTS)):
        return True
    if reader.accept("ADD"):
        return _is_key(reader)
    if reader.accept("DROP") and reader.accept_any("INDEX", "KEY", "CHECK", "CONSTRAINT"):
        # The primary key identifies rows. It may also be dropped by the name of its index.
        reader.accept("IF", "EXISTS")
        name = reader.name()
        return name is not None and name.text.upper() != "PRIMARY"
    if reader.accept("ALTER"):
        return _is_default(reader)
    return _is_options(TokenReader(clause))


def _is_key(reader: TokenReader) -> bool:
    if reader.accept("CONSTRAINT"):
        reader.accept("IF", "NOT", "EXISTS")
        if reader.word not in ("UNIQUE", "FOREIGN", "CHECK"):
            reader.name()
        return reader.word in ("UNIQUE", "FOREIGN", "CHECK")
    if reader.word == "VECTOR":
        return reader.word_at(1) in ("INDEX", "KEY")
    return reader.word in _KEYS


def _is_default(reader: TokenReader) -> bool:
    reader.accept("COLUMN")
    reader.accept("IF", "EXISTS")
    reader.name()
    return reader.accept("DROP", "DEFAULT") or (
        reader.accept("SET") and reader.word in ("DEFAULT", "VISIBLE", "INVISIBLE")
    )


def _is_options(reader: TokenReader) -> bool:
    """Whether the rest consists of table options that do not change rows, with or without `=`."""
    while reader.rest:
        reader.accept("DEFAULT")
        is_set = reader.accept("CHARACTER", "SET")
        token = None if is_set else reader.name()
        option = "" if token is None else token.text.upper()
        if not is_set and option not in _OPTIONS:
            return False
        reader.accept_sign("=")
        value = reader.take()
        if value is None or (option == "ENGINE" and value.text.upper() != "INNODB"):
            return False
    return True


def _added_columns(clause: Tokens) -> list[AddedColumn] | None:
    """The columns that a clause adds, or None if it does something else or gives them a value."""
    reader = TokenReader(clause)
    if not reader.accept("ADD"):
        return None
    reader.accept("COLUMN")
    reader.accept("IF", "NOT", "EXISTS")
    rest = reader.rest
    if not (rest and rest[0].is_sign("(")):
        column = _parse_column(rest)
        return None if column is None else [column]
    if not reader.accept_group() or reader.rest:
        return None
    columns = [_parse_column(part) for part in split(rest[1:-1])]
    return None if None in columns else [column for column in columns if column is not None]


def _parse_column(definition: Tokens) -> AddedColumn | None:
    reader = TokenReader(definition)
    name = reader.name()
    kind = reader.word
    if name is None or not kind or name.word in _NO_COLUMN:
        return None
    reader.take()
    while reader.word in _LONGER_TYPES.get(kind, ()):
        reader.take()
    after_column, is_null = None, False
    while reader.rest:
        if reader.accept("FIRST"):
            after_column = ""
        elif reader.accept("AFTER"):
            after = reader.name()
            if after is None:
                return None
            after_column = after.text
        elif reader.accept("DEFAULT", "NULL") or reader.accept("NULL"):
            is_null = True
        elif after_column is not None or not _skip_attribute(reader):
            return None
    return None if kind in _NOT_NULL_BY_DEFAULT and not is_null else AddedColumn(name.text, after_column)


def _skip_attribute(reader: TokenReader) -> bool:
    """Skips one attribute that gives no row a value. Returns whether there was one."""
    if reader.accept_group() or any(reader.accept(*attribute) for attribute in _ATTRIBUTES):
        return True
    if any(reader.accept(*attribute) for attribute in (*_CHARACTER_SETS, *_ATTRIBUTES_OF_ONE_WORD)):
        reader.accept_sign("=")
        return reader.take() is not None
    if any(reader.accept(*attribute) for attribute in _ATTRIBUTES_OF_A_TEXT):
        reader.accept_sign("=")
        return reader.accept_text()
    if reader.accept("DEFAULT"):
        return reader.accept_sign("(") and reader.accept("NULL") and reader.accept_sign(")")
    if reader.accept("ON", "UPDATE"):
        return _skip_now(reader)
    return _skip_constraint(reader)


def _skip_now(reader: TokenReader) -> bool:
    is_now = bool(reader.accept_any(*_NOW))
    reader.accept_group()
    return is_now


def _skip_constraint(reader: TokenReader) -> bool:
    """Skips a check or a foreign key in a column's definition. Returns whether there was one."""
    if reader.accept("CONSTRAINT") and reader.word != "CHECK":
        reader.name()
    if reader.accept("CHECK"):
        return reader.accept_group()
    if not reader.accept("REFERENCES") or not reader.path():
        return False
    reader.accept_group()
    while reader.accept("MATCH") or reader.accept("ON", "DELETE") or reader.accept("ON", "UPDATE"):
        if not reader.accept("SET", "NULL") and not reader.accept("NO", "ACTION") and not reader.accept_any(
            "FULL", "PARTIAL", "SIMPLE", "CASCADE", "RESTRICT"
        ):  # fmt: skip
            return False
    return True
