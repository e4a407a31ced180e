"""What a REST catalog and Glue must keep beyond the contract: conflicts, lost replies, replaced tables, refusals."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError
from pyiceberg.exceptions import CommitStateUnknownException
from pyiceberg.table import CommitTableResponse, Table
from pyiceberg.table.update import TableRequirement, TableUpdate

from datafingerprint.adapters.iceberg.connection import CATALOG_NAME, LakeConnection, LakeFileIO
from datafingerprint.adapters.iceberg.lake import IcebergLake
from datafingerprint.adapters.iceberg.objects_below import IcebergLakeObjects
from datafingerprint.adapters.iceberg.rest_catalog import LakeRestCatalog
from datafingerprint.adapters.iceberg.view import IcebergLakeView
from datafingerprint.config import Settings
from datafingerprint.errors import ConflictError, LakeError, LakeTableError, Unavailable
from datafingerprint.schema import TableSchema
from tests.adapters.iceberg.folder_objects import FolderObjects
from tests.catalogs import Catalogs
from tests.ports.test_lake_contract import TABLE, ids_of, put, rows_of, stamp

pytestmark = pytest.mark.live

NAME = ("ootp", "players")
OTHER_FIELDS = TableSchema(TABLE.schema, TABLE.name, TABLE.columns, TABLE.key, ())


@pytest.fixture(params=["rest", "glue"])
def catalogs(request: pytest.FixtureRequest) -> Catalogs:
    opened: Catalogs = request.getfixturevalue(f"{request.param}_catalog")
    return opened


@pytest.fixture
def open_lake(catalogs: Catalogs) -> Callable[[], IcebergLake]:
    return lambda: IcebergLake(Settings(), catalogs())


def test_a_table_with_other_partition_fields_is_replaced_by_a_commit_of_rows_of(
    open_lake: Callable[[], IcebergLake], catalogs: Catalogs
) -> None:
    put(open_lake().table(TABLE), 1, rows_of(1, 2))
    table = open_lake().table(OTHER_FIELDS)
    assert "differs from its source" in table.needs_reset
    table.commit(table.write({"-": rows_of(1, 2, 3)}, stamp(2)), [], stamp(2))
    assert (table.needs_reset, table.stamp, ids_of(table)) == ("", stamp(2), [1, 2, 3])
    again = open_lake().table(OTHER_FIELDS)
    assert (again.needs_reset, again.stamp, ids_of(again)) == ("", stamp(2), [1, 2, 3])
    again.commit(again.write({"-": rows_of(4)}, stamp(3)), [], stamp(3))
    assert len(catalogs().catalog.load_table(NAME).scan().to_arrow()) == 4


def test_a_writer_of_the_replaced_table_is_refused(open_lake: Callable[[], IcebergLake]) -> None:
    zombie = open_lake().table(TABLE)
    put(zombie, 1, rows_of(1))
    table = open_lake().table(OTHER_FIELDS)
    table.commit(table.write({"-": rows_of(1, 2)}, stamp(2)), [], stamp(2))
    with pytest.raises((ConflictError, LakeTableError)):
        put(zombie, 2, rows_of(9))
    assert ids_of(open_lake().table(OTHER_FIELDS)) == [1, 2]


def test_a_table_that_somebody_else_changed_is_not_replaced(open_lake: Callable[[], IcebergLake]) -> None:
    first = open_lake().table(TABLE)
    put(first, 1, rows_of(1))
    table = open_lake().table(OTHER_FIELDS)
    put(first, 2, rows_of(2))
    with pytest.raises(ConflictError, match="another writer was first with"):
        table.commit(table.write({"-": rows_of(1)}, stamp(2)), [], stamp(2))
    assert ids_of(open_lake().table(TABLE)) == [1, 2]


def test_the_view_and_the_orphan_cleaner_see_tables_below_the_warehouse_alone(
    open_lake: Callable[[], IcebergLake], catalogs: Catalogs
) -> None:
    put(open_lake().table(TABLE), 1, rows_of(1))
    connection = catalogs()
    foreign = replace(connection, warehouse=f"{connection.warehouse}-of-others")
    IcebergLake(Settings(), foreign).table(TableSchema("others", "theirs", TABLE.columns, ("id",), ()))
    assert set(connection.our_locations()) == {NAME}
    assert set(connection.metadata_locations()) == {NAME, ("others", "theirs")}
    assert set(open_lake().stamps()) == {TABLE.table}
    with closing(IcebergLakeObjects(_with_keys(), catalogs())) as objects:
        assert set(objects.versions()) == {NAME}
    with closing(IcebergLakeView(Settings(), catalogs(), FolderObjects())) as view:
        assert view.changed([TABLE]) == {TABLE.table}
        assert view.current(TABLE) is not None


def _with_keys() -> Settings:
    settings = Settings()
    return settings.model_copy(update={"s3": settings.s3.model_copy(update={"access_key": "key"})})


def test_a_table_at_another_location_is_refused(open_lake: Callable[[], IcebergLake], catalogs: Catalogs) -> None:
    open_lake().table(TABLE)
    connection = catalogs()
    with pytest.raises(LakeError, match=r"ootp\.players is at file:.*lake/ootp/players, not at file:.*-other"):
        IcebergLake(Settings(), replace(connection, warehouse=f"{connection.warehouse}-other")).table(TABLE)


class LosesReplies(LakeRestCatalog):
    """A catalog whose commits succeed, but whose replies get lost."""

    def commit_table(
        self, table: Table, requirements: tuple[TableRequirement, ...], updates: tuple[TableUpdate, ...]
    ) -> CommitTableResponse:
        super().commit_table(table, requirements, updates)
        raise CommitStateUnknownException("502")


def test_a_commit_whose_reply_was_lost_is_found_by_its_stamp(rest_catalog: Catalogs) -> None:
    connection = rest_catalog()
    IcebergLake(Settings(), connection).table(TABLE)
    with closing(LosesReplies(CATALOG_NAME, LakeFileIO(), **connection.catalog.properties)) as catalog:
        deaf = IcebergLake(Settings(), LakeConnection(catalog, connection.warehouse, "here")).table(TABLE)
        with pytest.raises(Unavailable, match=r"commit to ootp\.players: the catalog is away"):
            put(deaf, 1, rows_of(1))
        deaf.refresh()
        assert (deaf.stamp, ids_of(deaf)) == (stamp(1), [1])


def test_a_crash_while_a_table_is_replaced_leaves_no_table_and_a_new_one_can_be_made(rest_catalog: Catalogs) -> None:
    lake = IcebergLake(Settings(), rest_catalog())
    put(lake.table(TABLE), 1, rows_of(1))
    connection = rest_catalog()
    table = IcebergLake(Settings(), connection).table(OTHER_FIELDS)

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    connection.catalog.register_table = crash  # type: ignore[method-assign,assignment]
    with pytest.raises(KeyboardInterrupt):
        table.commit(table.write({"-": rows_of(1)}, stamp(2)), [], stamp(2))
    assert lake.existing(OTHER_FIELDS) is None
    assert lake.stamps() == {}
    again = lake.table(OTHER_FIELDS)
    assert (again.stamp, list(again.files())) == (None, [])


def test_glue_refuses_a_commit_to_an_entry_that_changed_meanwhile(glue_catalog: Catalogs) -> None:
    """What Glue answers to an old version is said by this test: the stand-in takes any."""
    connection = glue_catalog()
    table = IcebergLake(Settings(), connection).table(TABLE)
    versions: list[str] = []

    def update_table(**given: Any) -> None:  # noqa: ANN401 - Glue's arguments
        versions.append(given["VersionId"])
        answer: Any = {"Error": {"Code": "ConcurrentModificationException", "Message": "Version mismatch"}}
        raise ClientError(answer, "UpdateTable")

    connection.catalog.glue.update_table = update_table  # type: ignore[attr-defined]
    with pytest.raises(ConflictError, match=r"commit to ootp\.players: another writer was first"):
        put(table, 1, rows_of(1))
    assert versions == ["1"], "the version that was read is sent, once"
    assert IcebergLake(Settings(), glue_catalog()).table(TABLE).stamp is None


def test_glue_holds_no_names_with_upper_case_letters(glue_catalog: Catalogs) -> None:
    lake = IcebergLake(Settings(), glue_catalog())
    with pytest.raises(LakeTableError, match=r"ootp\.Players has upper case letters"):
        lake.table(TableSchema("ootp", "Players", TABLE.columns, ("id",), ()))


def test_a_table_of_another_kind_in_glue_is_left_as_it_is(glue_catalog: Catalogs) -> None:
    connection = glue_catalog()
    glue: Any = connection.catalog
    glue.glue.create_database(DatabaseInput={"Name": "ootp"})
    glue.glue.create_table(DatabaseName="ootp", TableInput={"Name": "players", "Parameters": {"mine": "yes"}})
    with pytest.raises(LakeTableError, match=r"ootp\.players is in Glue, but is not an Iceberg table"):
        IcebergLake(Settings(), connection).table(TABLE)
    assert connection.metadata_locations() == {}
    glue.glue.delete_table(DatabaseName="ootp", Name="players")
