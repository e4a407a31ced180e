"""What tests of the state store do on SQLite and PostgreSQL alike."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

NewUrl = Callable[[], str]

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.live)]
"""Parameters of a fixture that gives databases."""


def new_urls(request: pytest.FixtureRequest, directory: Path) -> NewUrl:
    """What gives the URL of a new, empty database, or schema, of the kind that the fixture's parameter names."""
    if request.param == "postgresql":
        new_schema: NewUrl = request.getfixturevalue("postgres").new_schema
        return new_schema
    numbers = iter(range(1_000_000))
    return lambda: f"sqlite:///{directory}/deep/state{next(numbers)}.db"


@contextlib.contextmanager
def by_hand(url: str) -> Iterator[sa.Connection]:
    """A connection past the state store, in a transaction that is committed at the end."""
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()
