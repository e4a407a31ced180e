"""How a catalog names the current metadata of its tables, for each kind of catalog."""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import chain

from botocore.exceptions import ClientError
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.sql import IcebergTables, SqlCatalog
from pyiceberg.exceptions import ForbiddenError, NoSuchNamespaceError, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.serializers import ToOutputFile
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata
from sqlalchemy import select, update

from datafingerprint.adapters.iceberg.glue_catalog import LakeGlueCatalog
from datafingerprint.adapters.iceberg.rest_catalog import LakeRestCatalog
from datafingerprint.errors import ConflictError, LakeTableError

Name = tuple[str, str]
"""Namespace and name of a table."""

LOOK_SHARE = 10
"""A look at all tables over the network takes at most one tenth of the time, however many tables there are."""

LOADS_AT_ONCE = 8

_DENIED = "AccessDeniedException"


class CatalogEntries(ABC):
    """The entries of a catalog, which name the current metadata of each table.

    Several threads may use it.
    """

    keeps_upper_case = True
    """Whether names that differ in case are different names."""

    def require_name(self, name: Name) -> None:
        """Checks that the catalog can hold a table of this name.

        Raises:
            LakeTableError: the catalog stores names in lower case, so two names could become one.
        """
        if not self.keeps_upper_case and any(part != part.lower() for part in name):
            raise LakeTableError(
                f"{'.'.join(name)} has upper case letters, but the catalog stores names in lower case",
                where="the catalog",
                remedy="exclude the table, or use another kind of catalog",
            )

    @abstractmethod
    def location(self, name: Name) -> str | None:
        """The location of a table's current metadata, by one small request.

        Returns:
            None for a missing table.
        """

    @abstractmethod
    def locations(self, names: Collection[Name] | None) -> dict[Name, str]:
        """The locations of all tables, or at least of the named ones that exist."""

    @abstractmethod
    def replace(self, name: Name, before: str, staged: Table, metadata: TableMetadata) -> None:
        """Puts new metadata in place of that at `before`, and writes it.

        Raises:
            ConflictError: the catalog already names other metadata. Nothing has changed.
        """


class SqlEntries(CatalogEntries):
    """The entries of a SQL catalog, all by one query."""

    def __init__(self, catalog: SqlCatalog) -> None:
        self._catalog = catalog

    def location(self, name: Name) -> str | None:
        """See `CatalogEntries`."""
        statement = select(IcebergTables.metadata_location).where(
            IcebergTables.catalog_name == self._catalog.name,
            IcebergTables.table_namespace == name[0],
            IcebergTables.table_name == name[1],
        )
        with self._catalog.engine.connect() as connection:
            location: str | None = connection.execute(statement).scalar_one_or_none()
        return location

    def locations(self, names: Collection[Name] | None) -> dict[Name, str]:  # noqa: ARG002 - one query has all
        """See `CatalogEntries`."""
        statement = select(
            IcebergTables.table_namespace, IcebergTables.table_name, IcebergTables.metadata_location
        ).where(IcebergTables.catalog_name == self._catalog.name)
        with self._catalog.engine.connect() as connection:
            return {(space, name): location for space, name, location in connection.execute(statement) if location}

    def replace(self, name: Name, before: str, staged: Table, metadata: TableMetadata) -> None:
        """See `CatalogEntries`. It is atomic."""
        self._catalog._write_metadata(metadata, staged.io, staged.metadata_location)  # noqa: SLF001 - as its own commits do
        statement = (
            update(IcebergTables)
            .where(
                IcebergTables.catalog_name == self._catalog.name,
                IcebergTables.table_namespace == name[0],
                IcebergTables.table_name == name[1],
                IcebergTables.metadata_location == before,
            )
            .values(metadata_location=staged.metadata_location, previous_metadata_location=before)
        )
        with self._catalog.engine.begin() as connection:
            if connection.execute(statement).rowcount != 1:
                raise _overtaken(name)


class RareLook:
    """Bounds the share of time that looks at all tables take.

    The answer of a look stays valid for nine times as long as the look took. A reader that needs a table's entry of
    this moment asks for that entry.
    """

    def __init__(self, look: Callable[[Collection[Name] | None], dict[Name, str]], clock: Callable[[], float]) -> None:
        self._look = look
        self._clock = clock
        self._lock = threading.Lock()
        self._next_at = -math.inf
        self._names: frozenset[Name] | None = frozenset()
        self._answer: dict[Name, str] = {}

    def __call__(self, names: Collection[Name] | None) -> dict[Name, str]:
        """The last answer if it is recent and has the names; else that of a new look."""
        wanted = None if names is None else frozenset(names)
        with self._lock:
            began = self._clock()
            has_them = self._names is None or (wanted is not None and wanted <= self._names)
            if began >= self._next_at or not has_them:
                self._answer = self._look(wanted)
                self._names = wanted
                ended = self._clock()
                self._next_at = ended + (LOOK_SHARE - 1) * (ended - began)
            return dict(self._answer)


class RestEntries(CatalogEntries):
    """The entries of a REST catalog.

    It lists names. Each location takes a conditional request of its own.
    """

    def __init__(self, catalog: LakeRestCatalog, clock: Callable[[], float] = time.monotonic) -> None:
        self._catalog = catalog
        self._rare_look = RareLook(self._look, clock)

    def location(self, name: Name) -> str | None:
        """See `CatalogEntries`."""
        return self._catalog.metadata_location(name)

    def locations(self, names: Collection[Name] | None) -> dict[Name, str]:
        """See `CatalogEntries`. It may be older than one look, within the bound of `RareLook`."""
        return self._rare_look(names)

    def _look(self, names: Collection[Name] | None) -> dict[Name, str]:
        present = _listed(self._catalog, names)
        with ThreadPoolExecutor(LOADS_AT_ONCE) as pool:
            locations = pool.map(self._catalog.metadata_location, present)
            return {name: location for name, location in zip(present, locations, strict=True) if location}

    def replace(self, name: Name, before: str, staged: Table, metadata: TableMetadata) -> None:
        """See `CatalogEntries`.

        The REST API replaces no table's metadata at once, so the entry is removed and added again. After a crash
        between both, the table is missing: the lake writer sets it aside, and fills it by a new snapshot.
        """
        ToOutputFile.table_metadata(metadata, staged.io.new_output(staged.metadata_location))
        if self._catalog.metadata_location(name) != before:
            raise _overtaken(name)
        try:
            self._catalog.drop_table(name)
            self._catalog.register_table(name, staged.metadata_location)
        except (NoSuchTableError, TableAlreadyExistsError) as error:
            raise _overtaken(name) from error


class GlueEntries(CatalogEntries):
    """The entries of the Glue Data Catalog, a hundred of one database by one request."""

    keeps_upper_case = False

    def __init__(self, catalog: LakeGlueCatalog, clock: Callable[[], float] = time.monotonic) -> None:
        self._catalog = catalog
        self._rare_look = RareLook(self._look, clock)

    def location(self, name: Name) -> str | None:
        """See `CatalogEntries`."""
        return self._catalog.metadata_location(name)

    def locations(self, names: Collection[Name] | None) -> dict[Name, str]:
        """See `CatalogEntries`. It may be older than one look, within the bound of `RareLook`."""
        return self._rare_look(names)

    def _look(self, names: Collection[Name] | None) -> dict[Name, str]:
        def of(space: str) -> list[tuple[Name, str]]:
            try:
                return list(self._catalog.entries(space))
            except ClientError as error:
                if names is None and error.response.get("Error", {}).get("Code") == _DENIED:
                    return []  # a database of others: the catalog is shared
                raise

        return dict(chain.from_iterable(map(of, _namespaces(self._catalog, names))))

    def replace(self, name: Name, before: str, staged: Table, metadata: TableMetadata) -> None:
        """See `CatalogEntries`. Glue refuses it if the entry has changed since it was read."""
        ToOutputFile.table_metadata(metadata, staged.io.new_output(staged.metadata_location))
        if not self._catalog.replace(name, before, staged.metadata_location, metadata):
            raise _overtaken(name)


def entries_of(catalog: Catalog) -> CatalogEntries:
    """The entries of an open catalog."""
    if isinstance(catalog, LakeRestCatalog):
        return RestEntries(catalog)
    if isinstance(catalog, LakeGlueCatalog):
        return GlueEntries(catalog)
    if isinstance(catalog, SqlCatalog):
        return SqlEntries(catalog)
    raise TypeError(f"no entries of a {type(catalog).__name__}")


def _namespaces(catalog: Catalog, names: Collection[Name] | None) -> list[str]:
    """The namespaces to look at, in order. Tables of this project are in none of several levels."""
    if names is not None:
        return sorted({space for space, _ in names})
    return sorted(space[0] for space in catalog.list_namespaces() if len(space) == 1)


def _listed(catalog: Catalog, names: Collection[Name] | None) -> list[Name]:
    """The tables that exist, only the named ones if there are any."""
    # Without names all namespaces are listed, also those of others in a shared catalog.
    left_out = (NoSuchNamespaceError, ForbiddenError) if names is None else (NoSuchNamespaceError,)

    def of(space: str) -> Iterator[Name]:
        with suppress(*left_out):
            for identifier in catalog.list_tables((space,)):
                name = (identifier[-2], identifier[-1])
                if names is None or name in names:
                    yield name

    return list(chain.from_iterable(of(space) for space in _namespaces(catalog, names)))


def _overtaken(name: Name) -> ConflictError:
    return ConflictError(f"another writer was first with {'.'.join(name)}")
