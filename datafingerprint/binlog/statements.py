"""Classifies logged statements: transaction control, harmless, about tables, or unknown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import lru_cache

from datafingerprint.binlog.queries import ANSI_QUOTES, UNREADABLE, Query
from datafingerprint.binlog.tokens import RESERVED, Kind, Token, TokenReader, Tokens, split, tokenize, words
from datafingerprint.table_names import table_name


class Meaning(Enum):
    """What capture does with a statement."""

    BEGIN = auto()
    COMMIT = auto()
    ROLLBACK = auto()
    SAVEPOINT = auto()
    ROLLBACK_TO = auto()
    HARMLESS = auto()
    TABLES = auto()
    DROP_SCHEMA = auto()
    WRITES = auto()
    """Changes rows. The log has the statement in place of the rows."""
    UNKNOWN = auto()


@dataclass(frozen=True, slots=True)
class Statement:
    """A classified statement.

    Attributes:
        meaning: What capture does with it.
        name: The savepoint or schema that it names, or its verb.
        tables: The tables that it changes, by their names before it.
        made: Names of tables that exist after it, and may not have existed before.
        clauses: The part of an ALTER after the table's name.
        loses_duplicates: Whether an ALTER deletes rows that violate a new key.
        mentions: Every `schema.name` in a statement that changes rows. The same for an unknown statement that can
            change only tables that it names. Empty for all others.
        calls: The `schema.name`s among the mentions that may be stored functions or procedures.
    """

    meaning: Meaning
    name: str = ""
    tables: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    clauses: Tokens = ()
    loses_duplicates: bool = False
    mentions: frozenset[str] = frozenset()
    calls: frozenset[str] = frozenset()


HARMLESS, _UNKNOWN = Statement(Meaning.HARMLESS), Statement(Meaning.UNKNOWN)
PROGRAM = Statement(Meaning.HARMLESS, "PROGRAM")
"""Creates, alters or drops a view, routine or trigger, so that later statements may run other programs."""

_CONTROL = {
    ("BEGIN",): Meaning.BEGIN,
    ("START", "TRANSACTION"): Meaning.BEGIN,
    ("COMMIT",): Meaning.COMMIT,
    ("ROLLBACK", "TO", "SAVEPOINT"): Meaning.ROLLBACK_TO,
    ("ROLLBACK", "TO"): Meaning.ROLLBACK_TO,
    ("ROLLBACK",): Meaning.ROLLBACK,
    ("SAVEPOINT",): Meaning.SAVEPOINT,
}
"""The first matching entry counts."""

_HARMLESS_HEADS = (
    ("GRANT",),
    ("REVOKE",),
    ("FLUSH",),
    ("SET", "DEFAULT"),
    ("SET", "PASSWORD"),
    ("SET", "ROLE"),
    ("RELEASE", "SAVEPOINT"),
    ("RENAME", "USER"),
    *((verb, what) for verb in ("INSTALL", "UNINSTALL") for what in ("PLUGIN", "SONAME", "COMPONENT")),
)
_PROGRAMS = (
    *(("VIEW",), ("JSON", "DUALITY", "VIEW"), ("JSON", "RELATIONAL", "DUALITY", "VIEW")),
    *(("PROCEDURE",), ("FUNCTION",), ("TRIGGER",), ("PACKAGE",)),
)
"""Programs that a statement on a table may run."""

_OBJECTS = (
    *(("USER",), ("ROLE",), ("SERVER",), ("RESOURCE", "GROUP"), ("SPATIAL", "REFERENCE", "SYSTEM"), ("INSTANCE",)),
    *(("TABLESPACE",), ("UNDO", "TABLESPACE"), ("LOGFILE", "GROUP"), ("SEQUENCE",), ("TEMPORARY", "SEQUENCE")),
    *(("EVENT",), ("LIBRARY",)),
    *(("INDEX",), *((kind, "INDEX") for kind in ("UNIQUE", "FULLTEXT", "SPATIAL", "VECTOR"))),
    *(("TEMPORARY", "TABLE"), ("TEMPORARY", "TABLES")),
)
"""Objects whose definition changes no row of a table."""

_INERT_VARIABLES = frozenset(
    [
        *("ALTER_ALGORITHM", "BINLOG_FORMAT", "BULK_INSERT_BUFFER_SIZE", "FOREIGN_KEY_CHECKS"),
        *("INNODB_LOCK_WAIT_TIMEOUT", "JOIN_BUFFER_SIZE", "JOIN_CACHE_LEVEL", "LOCK_WAIT_TIMEOUT", "LONG_QUERY_TIME"),
        *("MAX_HEAP_TABLE_SIZE", "MAX_STATEMENT_TIME", "MYISAM_SORT_BUFFER_SIZE", "OPTIMIZER_SEARCH_DEPTH"),
        *("OPTIMIZER_SWITCH", "READ_RND_BUFFER_SIZE", "SORT_BUFFER_SIZE", "TMP_TABLE_SIZE", "UNIQUE_CHECKS"),
    ]
)
"""Variables of MariaDB that change the speed or the limits of a statement, never its meaning or result."""

_ABOUT_NAMED_TABLES = frozenset({"CREATE", "ALTER", "DROP", "RENAME", "TRUNCATE", "SET"})

_CACHE_SIZE, _CACHE_CHARACTERS_MAX = 64, 4096
"""How many classified statements are cached, and their maximum length. Every transaction of MySQL has a `BEGIN`."""


def classify(query: Query) -> Statement:
    """Classifies a statement. Names without a schema get the query's schema."""
    return _classify_cached(query) if len(query.text) <= _CACHE_CHARACTERS_MAX else _classify(query)


def _classify(query: Query) -> Statement:
    statement = _classify_on_server(query.text, query)
    if statement.name in ("CREATE", "DROP") and query.as_utf8:
        # A server writes CREATE TABLE … SELECT in UTF-8, although the event names the session's character set.
        as_utf8 = _classify_on_server(query.as_utf8, query)
        statement = replace(statement, tables=statement.tables + as_utf8.tables, made=statement.made + as_utf8.made)
    if statement.name in ("ALTER", "TRUNCATE") and query.is_about_temporary:
        return HARMLESS
    if any(UNREADABLE in name for name in (statement.name, *statement.tables, *statement.made, *statement.mentions)):
        return _UNKNOWN
    return _unknown_about_tables(query) if statement.meaning is Meaning.UNKNOWN else statement


def _unknown_about_tables(query: Query) -> Statement:
    """An unknown statement about tables, with all names in it, which include those it changes."""
    readings = [tokenize(query.text, query.sql_mode ^ quotes) for quotes in (0, ANSI_QUOTES)]
    tokens = readings[0] or ()
    is_about_tables = any(token.word in ("TABLE", "TABLES") for token in tokens) or words(tokens, 2) == "SET STATEMENT"
    if UNREADABLE in query.text or not is_about_tables or not tokens or tokens[0].word not in _ABOUT_NAMED_TABLES:
        return _UNKNOWN
    names = frozenset(name for reading in readings for name in mentioned_names(reading or (), query.schema))
    return Statement(Meaning.UNKNOWN, tokens[0].word, mentions=names)


_classify_cached = lru_cache(_CACHE_SIZE)(_classify)


def _classify_on_server(text: str, query: Query) -> Statement:
    """Classifies a statement by the rules of its server.

    If the server is not known, and the two would read the statement differently, its meaning is unknown.
    """
    statement = _classify_tokens(tokenize(text, query.sql_mode, as_mariadb=query.is_mariadb is not False), query.schema)
    if query.is_mariadb is None and "/*M!" in text:
        other = _classify_tokens(tokenize(text, query.sql_mode, as_mariadb=False), query.schema)
        return statement if statement == other else _UNKNOWN
    return statement


def _classify_tokens(tokens: Tokens | None, schema: str) -> Statement:
    reader = TokenReader(tokens or ())
    if reader.accept("SET", "STATEMENT"):
        return _read_set_statement(reader, schema)
    for head, meaning in _CONTROL.items():
        if reader.accept(*head):
            return _control(meaning, reader)
    if any(map(reader.starts_with, _HARMLESS_HEADS)) or _is_maintenance(reader):
        return HARMLESS
    read = _READERS.get(reader.word or (tokens[0].text if tokens else ""))
    return read(reader, schema) if read else _UNKNOWN


def _control(meaning: Meaning, reader: TokenReader) -> Statement:
    if meaning not in (Meaning.SAVEPOINT, Meaning.ROLLBACK_TO):
        return Statement(meaning)
    name = reader.name()
    return _UNKNOWN if name is None else Statement(meaning, name.text)


def _is_maintenance(reader: TokenReader) -> bool:
    if reader.word not in ("ANALYZE", "OPTIMIZE", "REPAIR"):
        return False
    is_quiet = reader.word_at(1) in ("NO_WRITE_TO_BINLOG", "LOCAL")
    return reader.word_at(2 if is_quiet else 1) in ("TABLE", "TABLES")


def _read_set_statement(reader: TokenReader, schema: str) -> Statement:
    """`SET STATEMENT a = 1, b = 2 FOR …` of MariaDB."""
    while reader.word in _INERT_VARIABLES:
        reader.take()
        if not (reader.accept_sign("=") and _accept_literal(reader)):
            return _UNKNOWN
        if reader.accept("FOR"):
            statement = _classify_tokens(reader.rest, schema)
            return _UNKNOWN if statement.meaning in _CONTROL.values() else statement
        if not reader.accept_sign(","):
            return _UNKNOWN
    return _UNKNOWN


def _accept_literal(reader: TokenReader) -> bool:
    if reader.accept_text():
        return True
    if not reader.accept_sign("-"):
        reader.accept_sign("+")
    has_value = reader.word not in ("", "FOR") and reader.take() is not None
    return has_value and (not reader.accept_sign(".") or reader.take() is not None)


def _read_definition(reader: TokenReader, schema: str) -> Statement:
    """CREATE, DROP or ALTER of any object."""
    verb = reader.word
    reader.take()
    replaces = reader.accept("OR", "REPLACE")
    while reader.accept_any("ONLINE", "OFFLINE"):
        pass
    ignores = verb == "ALTER" and reader.accept("IGNORE")
    if reader.accept_any("DATABASE", "SCHEMA"):
        return _read_schema_definition(verb, reader, replaces=replaces)
    if reader.accept("TABLE") or (verb == "DROP" and reader.accept("TABLES")):
        if verb == "ALTER":
            return _read_alter_table(reader, schema, loses_duplicates=ignores)
        return _read_create_table(reader, schema) if verb == "CREATE" else _read_drop_table(reader, schema)
    if verb == "DROP" and reader.accept("INDEX"):
        return _read_drop_index(reader, schema)
    return _program_or_object(reader, schema, replaces=replaces)


def _program_or_object(reader: TokenReader, schema: str, *, replaces: bool) -> Statement:
    if replaces and reader.accept("SEQUENCE"):
        # A sequence may replace a table of the same name, which is dropped.
        table = _table(reader, schema)
        return Statement(Meaning.TABLES, "DROP", (table,)) if table else _UNKNOWN
    _skip_definer(reader)
    if any(map(reader.starts_with, _OBJECTS)):
        return HARMLESS
    return PROGRAM if any(map(reader.starts_with, _PROGRAMS)) else _UNKNOWN


def _skip_definer(reader: TokenReader) -> None:
    """Skips the options before VIEW, FUNCTION and the like."""
    while True:
        if reader.accept("ALGORITHM"):
            reader.accept_sign("=")
            reader.take()
        elif reader.accept("SQL", "SECURITY"):
            reader.take()
        elif reader.accept("DEFINER"):
            reader.accept_sign("=")
            _skip_account(reader)
        elif not reader.accept("AGGREGATE"):
            return


def _skip_account(reader: TokenReader) -> None:
    reader.take()
    reader.accept_group()  # CURRENT_USER()
    if reader.accept_sign("@"):
        reader.take()
        while reader.accept_sign(".") or reader.accept_sign("-"):
            reader.take()


def _read_schema_definition(verb: str, reader: TokenReader, *, replaces: bool) -> Statement:
    """CREATE, DROP or ALTER of a schema.

    CREATE OR REPLACE drops the tables of an existing schema, and MariaDB logs nothing else about them.
    """
    if verb == "DROP" or replaces:
        reader.accept("IF", "EXISTS")
        name = reader.name()
        is_misread = name is None or name.word in RESERVED
        return _UNKNOWN if is_misread or name is None else Statement(Meaning.DROP_SCHEMA, name.text)
    renames = verb == "ALTER" and any(token.word == "UPGRADE" for token in reader.rest)
    return _UNKNOWN if renames else HARMLESS


def _read_drop_index(reader: TokenReader, schema: str) -> Statement:
    """DROP INDEX, which may drop the primary key too, by the name of its index."""
    reader.accept("IF", "EXISTS")
    index = reader.name()
    table = _table(reader, schema) if reader.accept("ON") else ""
    if index is None or not table:
        return _UNKNOWN
    if index.text.upper() != "PRIMARY":
        return HARMLESS
    clauses = tuple(Token(Kind.WORD, word) for word in ("DROP", "PRIMARY", "KEY"))
    return Statement(Meaning.TABLES, "ALTER", (table,), clauses=clauses)


def _read_create_table(reader: TokenReader, schema: str) -> Statement:
    # With IF NOT EXISTS an existing table stays as it is. The statement is logged nevertheless.
    is_optional = reader.accept("IF", "NOT", "EXISTS")
    table = _table(reader, schema)
    return Statement(Meaning.TABLES, "CREATE", () if is_optional else (table,), (table,)) if table else _UNKNOWN


def _read_drop_table(reader: TokenReader, schema: str) -> Statement:
    reader.accept("IF", "EXISTS")
    tables = [_table(reader, schema)]
    while reader.accept_sign(","):
        tables.append(_table(reader, schema))
    _skip_wait(reader)
    reader.accept_any("RESTRICT", "CASCADE")
    return Statement(Meaning.TABLES, "DROP", tuple(tables)) if all(tables) and reader.is_at_end else _UNKNOWN


def _read_truncate(reader: TokenReader, schema: str) -> Statement:
    reader.take()
    reader.accept("TABLE")
    table = _table(reader, schema)
    _skip_wait(reader)
    if reader.accept_any("DROP", "REUSE") and not reader.accept("STORAGE"):
        return _UNKNOWN
    return Statement(Meaning.TABLES, "TRUNCATE", (table,)) if table and reader.is_at_end else _UNKNOWN


def _read_rename(reader: TokenReader, schema: str) -> Statement:
    reader.take()
    if not reader.accept_any("TABLE", "TABLES"):
        return _UNKNOWN
    reader.accept("IF", "EXISTS")
    before, after = [], []
    while True:
        before.append(_table(reader, schema))
        _skip_wait(reader)
        after.append(_table(reader, schema) if reader.accept("TO") else "")
        if not reader.accept_sign(","):
            break
    is_complete = all((*before, *after)) and reader.is_at_end
    return Statement(Meaning.TABLES, "RENAME", tuple(before), tuple(after)) if is_complete else _UNKNOWN


def _read_alter_table(reader: TokenReader, schema: str, *, loses_duplicates: bool) -> Statement:
    """ALTER TABLE: the tables that it changes, and the names that it gives."""
    reader.accept("IF", "EXISTS")
    table = _table(reader, schema)
    if not table:
        return _UNKNOWN
    _skip_wait(reader)
    others, made = [], []
    for clause in map(TokenReader, split(reader.rest)):
        if clause.accept("EXCHANGE", "PARTITION"):
            clause.name()
            others.append(_table(clause, schema) if clause.accept("WITH", "TABLE") else "")
        elif clause.accept("CONVERT", "TABLE"):
            others.append(_table(clause, schema))
        elif clause.accept("CONVERT", "PARTITION"):
            clause.name()
            made.append(_table(clause, schema) if clause.accept("TO", "TABLE") else "")
        elif clause.accept("RENAME") and clause.word not in ("COLUMN", "INDEX", "KEY"):
            if not clause.accept_any("TO", "AS"):
                clause.accept_sign("=")
            made.append(_table(clause, schema))
    if not all((*others, *made)):
        return _UNKNOWN
    names = (table, *others), tuple(made)
    return Statement(Meaning.TABLES, "ALTER", *names, clauses=reader.rest, loses_duplicates=loses_duplicates)


def _skip_wait(reader: TokenReader) -> None:
    """Skips `NOWAIT` or `WAIT n` of MariaDB."""
    if not reader.accept("NOWAIT") and reader.word == "WAIT" and reader.word_at(1).isdecimal():
        reader.take()
        reader.take()


def _table(reader: TokenReader, schema: str) -> str:
    """The next table, as `schema.table`, or an empty text if no name comes next."""
    path = reader.path()
    return _qualified_name(path, schema) if path else ""


@lru_cache(1024)
def _qualified_name(path: tuple[str, ...], schema: str) -> str:
    return table_name(*path) if len(path) > 1 else table_name(schema, *path)


def _read_change(reader: TokenReader, schema: str) -> Statement:
    """A statement that changes rows: the tables that it changes, and all names that it mentions."""
    tokens = reader.rest
    if reader.accept("ANALYZE") and reader.accept("FORMAT"):
        reader.accept_sign("=")
        reader.take()
    mentions, calls = _mentions_and_calls(tokens, schema)
    tables = _targets(_skip_with(reader), schema)
    # If the target cannot be determined, each name may be one.
    targets = tuple(sorted(mentions)) if tables is None else tables
    return Statement(Meaning.WRITES, words(tokens, 1), targets, mentions=mentions, calls=calls)


def _skip_with(reader: TokenReader) -> TokenReader:
    """Skips common table expressions up to the verb."""
    if reader.accept("WITH"):
        while not reader.is_at_end and reader.word not in ("SELECT", "UPDATE", "DELETE", "INSERT", "REPLACE"):
            if not reader.accept_group():
                reader.take()
    return reader


def _targets(reader: TokenReader, schema: str) -> tuple[str, ...] | None:
    """The tables that a statement changes, perhaps with others that it names beside them.

    Returns:
        None if they cannot be determined.
    """
    verb = reader.word
    reader.take()
    match verb:
        case "INSERT" | "REPLACE":
            while reader.accept_any("LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE"):
                pass
            reader.accept("INTO")
            table = _table(reader, schema)
            return (table,) if table else None
        case "LOAD":
            while not reader.is_at_end and not reader.accept("INTO", "TABLE"):
                reader.take()
            table = _table(reader, schema)
            return (table,) if table else None
        case "UPDATE":
            while reader.accept_any("LOW_PRIORITY", "IGNORE"):
                pass
            return tuple(sorted(mentioned_names(_tokens_before(reader.rest, "SET"), schema))) or None
        case "DELETE":
            while reader.accept_any("LOW_PRIORITY", "QUICK", "IGNORE", "HISTORY", "FROM"):
                pass
            return tuple(sorted(mentioned_names(_tokens_before(reader.rest, "WHERE"), schema))) or None
    return ()


def _tokens_before(tokens: Tokens, word: str) -> Tokens:
    """The tokens before the first `word` outside brackets."""
    depth = 0
    for index, token in enumerate(tokens):
        if depth == 0 and token.word == word:
            return tokens[:index]
        depth += token.is_sign("(") - token.is_sign(")")
    return tokens


def mentioned_names(tokens: Tokens, schema: str) -> Iterator[str]:
    """Every name in these tokens, as `schema.name`."""
    return (name for name, _ in _names_of(tokens, schema))


def _mentions_and_calls(tokens: Tokens, schema: str) -> tuple[frozenset[str], frozenset[str]]:
    """All names in these tokens, and those that may be functions or procedures.

    These are names before a bracket, and all names in a CALL.
    """
    is_call = tokens[:1] != () and tokens[0].word == "CALL"
    mentions, calls = set(), set()
    for name, index in _names_of(tokens, schema):
        mentions.add(name)
        if is_call or (index < len(tokens) and tokens[index].is_sign("(")):
            calls.add(name)
    return frozenset(mentions), frozenset(calls)


def called_names(tokens: Tokens, schema: str) -> frozenset[str]:
    """Every `schema.name` that is followed by a bracket, or that a CALL contains."""
    return _mentions_and_calls(tokens, schema)[1]


def _names_of(tokens: Tokens, schema: str) -> Iterator[tuple[str, int]]:
    """Each name as `schema.name`, and the index of the token after it."""
    index = 0
    while index < len(tokens):
        token = tokens[index]
        index += 1
        if token.kind not in (Kind.WORD, Kind.NAME) or token.word in RESERVED or token.word.isdecimal():
            continue
        path: tuple[str, ...] = (token.text,)
        if index + 1 < len(tokens) and tokens[index].is_sign(".") and tokens[index + 1].kind in (Kind.WORD, Kind.NAME):
            path = (token.text, tokens[index + 1].text)
            index += 2
        yield _qualified_name(path, schema), index


_READERS: Mapping[str, Callable[[TokenReader, str], Statement]] = {
    **dict.fromkeys(("CREATE", "DROP", "ALTER"), _read_definition),
    **dict.fromkeys(("INSERT", "REPLACE", "UPDATE", "DELETE", "LOAD", "WITH", "ANALYZE"), _read_change),
    **dict.fromkeys(("SELECT", "DO", "CALL", "VALUES", "("), _read_change),
    "RENAME": _read_rename,
    "TRUNCATE": _read_truncate,
}
"""The function that reads a statement, by its first word."""


def first_words(text: str) -> str:
    """The first words of a statement, for messages. They never contain a value."""
    return words(tokenize(text) or (), 2) or "empty"
