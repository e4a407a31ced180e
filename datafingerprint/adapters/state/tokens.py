"""Tokens and the record of actions in the state store, in tables of their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa

from datafingerprint.adapters.state.engine import open_engine, place, translated, writers
from datafingerprint.ports.tokens import Action
from datafingerprint.tokens import Role, Token, TokenState

ACTIONS_KEPT = 10_000

_TABLES = sa.MetaData()
_TOKENS = sa.Table(
    "api_tokens",
    _TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("digest", sa.Text, nullable=False, unique=True),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double),
    sa.Column("revoked_at", sa.Double),
)
_ACTIONS = sa.Table(
    "api_actions",
    _TABLES,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("address", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("status", sa.Integer),
    sqlite_autoincrement=True,
)
TOKEN_TABLES = tuple(_TABLES.tables)
"""Their names, in the database of the state store."""


class SqlTokenStore:
    """Implements `TokenStore` and `ActionLog`; may be used by several threads and processes.

    Args:
        url: The state store's.

    Raises:
        ConfigError: the URL is not of a database that the store knows.
    """

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url)
        self._where = place(self._engine)
        self._prepared = False
        self._preparing = threading.Lock()

    def close(self) -> None:
        """Closes every connection."""
        self._engine.dispose()

    def tokens(self) -> Sequence[Token]:
        """See the port."""
        with self._reading() as connection:
            return _tokens(connection)

    def create(self, token: Token, action: Action) -> bool:
        """See the port."""
        with self._writing() as connection:
            others = (other.state(token.created_at) for other in _tokens(connection) if other.name == token.name)
            if TokenState.VALID in others:
                return False
            connection.execute(
                sa.insert(_TOKENS).values(
                    name=token.name,
                    role=token.role.value,
                    digest=token.digest,
                    created_at=token.created_at,
                    expires_at=token.expires_at,
                    revoked_at=token.revoked_at,
                )
            )
            _insert_action(connection, action)
        return True

    def revoke(self, name: str, action: Action) -> bool:
        """See the port."""
        is_wanted = _TOKENS.c.name == name, _TOKENS.c.revoked_at.is_(None)
        with self._writing() as connection:
            changed = connection.execute(sa.update(_TOKENS).where(*is_wanted).values(revoked_at=action.at))
            if changed.rowcount:
                _insert_action(connection, action)
        return bool(changed.rowcount)

    def begin(self, action: Action) -> int:
        """See the port."""
        with self._writing() as connection:
            return _insert_action(connection, action)

    def end(self, number: int, status: int) -> None:
        """See the port."""
        with self._writing() as connection:
            connection.execute(sa.update(_ACTIONS).where(_ACTIONS.c.id == number).values(status=status))

    def actions(self, *, limit: int, before: int | None = None) -> Sequence[Action]:
        """See the port."""
        query = sa.select(_ACTIONS).order_by(_ACTIONS.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(_ACTIONS.c.id < before)
        with self._reading() as connection:
            rows = connection.execute(query).mappings().all()
        columns = [column.name for column in _ACTIONS.c if column.name != "id"]
        return [Action(**{name: row[name] for name in columns}, number=row["id"]) for row in rows]

    @contextmanager
    def _reading(self) -> Iterator[sa.Connection]:
        with translated(self._where):
            self._prepare()
            with self._engine.begin() as connection:
                yield connection

    @contextmanager
    def _writing(self) -> Iterator[sa.Connection]:
        with translated(self._where):
            self._prepare()
            with writers(self._engine).begin() as connection:
                yield connection

    def _prepare(self) -> None:
        """Makes missing tables, once. If none is missing it only reads, so that no reader waits."""
        with self._preparing:
            if self._prepared:
                return
            with self._engine.begin() as connection:
                inspected = sa.inspect(connection)
                is_whole = all(inspected.has_table(name) for name in _TABLES.tables)
            if not is_whole:
                with writers(self._engine).begin() as connection:
                    _TABLES.create_all(connection)
            self._prepared = True


def _tokens(connection: sa.Connection) -> list[Token]:
    return [
        Token(row["name"], Role(row["role"]), row["digest"], row["created_at"], row["expires_at"], row["revoked_at"])
        for row in connection.execute(sa.select(_TOKENS).order_by(_TOKENS.c.id)).mappings()
    ]


def _insert_action(connection: sa.Connection, action: Action) -> int:
    row = {column.name: getattr(action, column.name) for column in _ACTIONS.c if column.name != "id"}
    number = int(connection.execute(sa.insert(_ACTIONS).values(**row).returning(_ACTIONS.c.id)).scalar_one())
    connection.execute(sa.delete(_ACTIONS).where(_ACTIONS.c.id <= number - ACTIONS_KEPT))
    return number
