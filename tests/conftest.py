"""Fixtures of the live tests: the real parts, started once, and settings of its own for every test."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pymysql
import pytest
import structlog
from hypothesis import HealthCheck, settings

from datafingerprint.config import Settings, load_settings
from deploy.embedded.stack import EmbeddedStack
from tests.postgres_server import PostgresServer, programs, started

# How long an example takes is the machine's affair.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")

# Its assertions are a test's own: they show both sides.
pytest.register_assert_rewrite("tests.flow.running", "tests.catalogs")
pytest_plugins = ("tests.catalogs",)

_number = itertools.count(1)

SEPARATE = ("engines", "airflow")
"""Tests of these want more than `./run test` installs: each runs with its own option only."""

MakeSettings = Callable[..., Settings]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--source", choices=["mariadb", "mysql"], default="mariadb", help="warehouse of the live tests")
    parser.addoption("--engines", action="store_true", help="run the tests of the query engines, and only those")
    parser.addoption("--airflow", action="store_true", help="run the tests of the Airflow DAGs, and only those")
    parser.addoption("--fuzz-seconds", type=float, default=10.0, help="how long tables are drawn and compared")
    parser.addoption("--fuzz-seed", type=int, default=2031, help="what is drawn; another number draws other tables")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "only(server): a live test of what one server alone has, mariadb or mysql")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The engines' tests import drivers that are installed for them only."""
    is_of_engines = collection_path == Path(__file__).parent / "engines"
    return True if is_of_engines and not config.getoption("--engines") else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out tests of what the other server alone has, and those of engines and Airflow unless asked for."""
    source = config.getoption("--source")
    other = [
        item
        for item in items
        if any(mark.args != (source,) for mark in item.iter_markers("only"))
        or any((item.get_closest_marker(name) is not None) != config.getoption(f"--{name}") for name in SEPARATE)
    ]
    if other:
        config.hook.pytest_deselected(items=other)
        items[:] = [item for item in items if item not in other]


@pytest.fixture(autouse=True)
def logging_put_back() -> Iterator[None]:
    """A command that ran in a test has set up logging of the process: the next one would hear no warning any more."""
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedStack]:
    """A warehouse, Kafka and S3, shared by all live tests of a run; a test that kills a part starts it again."""
    with EmbeddedStack(tmp_path_factory.mktemp("stack"), request.config.getoption("--source")) as started:
        warehouse = started.blueprint.warehouse
        with warehouse.connect_as_administrator() as connection, connection.cursor() as cursor:
            cursor.execute(f"GRANT ALL ON *.* TO '{warehouse.user}'@'127.0.0.1'")
        yield started


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL, shared by all live tests of a run that keep catalog or state store in one."""
    result = programs()
    if result is None:
        pytest.skip("NOT RUN: catalog and state store in a PostgreSQL, for none is installed")
    # Tests end it by a signal at most, never the machine.
    with started(result, "-c", "fsync=off") as server:
        yield server


@pytest.fixture
def stack_environment(stack: EmbeddedStack, tmp_path: Path) -> dict[str, str]:
    """`DFP_` variables of one test: schema, topics, lake path, catalog and state store that no other test has."""
    number = next(_number)
    return {
        **stack.environment(),
        "DFP_SOURCE_TABLES": f"test{number}.*",
        "DFP_GENERATOR_SCHEMA_NAME": f"test{number}",
        "DFP_KAFKA_PREFIX": f"test{number}",
        "DFP_LAKE_PATH": f"lake{number}",
        "DFP_LAKE_CATALOG": f"sqlite:///{tmp_path}/catalog.db",
        "DFP_STATE_URL": f"sqlite:///{tmp_path}/state.db",
        "DFP_LAKE_FLUSH_S": "1",
        "DFP_CDC_HEARTBEAT_S": "2",
        "DFP_FINGERPRINTER_ETAG_CHECK_S": "1",
        "DFP_FINGERPRINTER_POLL_S": "0.5",
    }


@pytest.fixture
def stack_settings(stack_environment: dict[str, str]) -> Settings:
    """Settings that point at the live parts; the source schema `test<n>` does not exist yet."""
    return load_settings({"tables": {}}, stack_environment)


@pytest.fixture
def warehouse_settings(stack_settings: Settings) -> Settings:
    """The same, under the name that tests of the generator know it by."""
    return stack_settings


@pytest.fixture
def source(stack_settings: Settings) -> Iterator[pymysql.Connection]:
    """A connection to the test's own schema, which is created, and dropped afterwards."""
    schema = stack_settings.generator.schema_name
    connection = pymysql.connect(
        host=stack_settings.source.host,
        port=stack_settings.source.port,
        user=stack_settings.source.user,
        password=stack_settings.source.password.get_secret_value(),
        charset="utf8mb4",
        autocommit=True,
    )
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE IF NOT EXISTS {schema}")
        connection.select_db(schema)
        yield connection


@pytest.fixture
def s3(stack_settings: Settings) -> Iterator[object]:
    """A plain S3 client on the lake's bucket's server."""
    client = boto3.client(
        "s3",
        endpoint_url=stack_settings.s3.endpoint,
        region_name=stack_settings.s3.region,
        aws_access_key_id=stack_settings.s3.access_key,
        aws_secret_access_key=stack_settings.s3.secret_key.get_secret_value(),
    )
    with contextlib.closing(client):
        yield client
