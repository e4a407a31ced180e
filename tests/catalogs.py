"""Catalogs for tests beside the SQL one: Iceberg's REST server, and moto in the place of AWS Glue."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datafingerprint.adapters.iceberg.connection import CATALOG_NAME, LakeConnection, LakeFileIO
from datafingerprint.adapters.iceberg.glue_catalog import open_glue_catalog
from datafingerprint.adapters.iceberg.rest_catalog import open_rest_catalog
from datafingerprint.config import Settings, load_settings
from deploy.catalog.server import STAMP, RestCatalogServer
from deploy.embedded.part import describe_failure
from deploy.embedded.ports import free_ports
from deploy.embedded.process import Process
from deploy.embedded.waiting import await_condition

READY_WITHIN_S = 90.0

Catalogs = Callable[[], LakeConnection]
"""Opens one more connection to a catalog that no other test uses, over a folder."""


def require_rest_server() -> None:
    """Leaves a test out where the server could not be fetched."""
    if not STAMP.exists():
        pytest.skip("NOT RUN: a REST catalog, for its server is not installed (./run install catalog)")


class RunningCatalog:
    """A REST catalog server that a test may crash.

    Attributes:
        part: The server.
    """

    def __init__(self, part: RestCatalogServer) -> None:
        self.part = part
        part.prepare()
        self._log = part.directory / "log"
        self._process: Process | None = None

    def start(self) -> None:
        """Starts it on its data, and waits until it answers."""
        process = self._process = Process(self.part.command(), self._log)
        await_condition(lambda: not process.is_running or self.part.is_ready(), timeout_s=READY_WITHIN_S, pause_s=0.2)
        assert process.is_running, describe_failure("the REST catalog server ended while it was starting", self._log)
        assert self.part.is_ready(), describe_failure("the REST catalog server is not ready", self._log)

    def kill(self) -> None:
        """Ends it as a crash would."""
        assert self._process is not None
        self._process.kill()

    def end(self) -> None:
        """Ends it if it runs."""
        if self._process is not None and self._process.is_running:
            self._process.stop()


@contextlib.contextmanager
def running_catalog(part: RestCatalogServer) -> Iterator[RunningCatalog]:
    """A started server, which is ended afterwards."""
    server = RunningCatalog(part)
    try:
        server.start()
        yield server
    finally:
        server.end()


def remote_settings(catalog: str, *options: str, user: str = "", password: str = "") -> Settings:
    """Settings with a catalog over the network, and keys of [s3] that no server checks."""
    lake = {"catalog": catalog, "catalog_options": options, "catalog_user": user, "catalog_password": password}
    return load_settings({"lake": lake, "s3": {"access_key": "key", "secret_key": "secret"}}, {})


@contextlib.contextmanager
def opened_catalogs(open_one: Catalogs) -> Iterator[Catalogs]:
    """Closes all connections at the end, also those that a test has closed itself."""
    made: list[LakeConnection] = []

    def opened() -> LakeConnection:
        made.append(open_one())
        return made[-1]

    yield opened
    for connection in made:
        connection.close()


@pytest.fixture(scope="session")
def rest_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCatalog]:
    """One server over folders for the tests of a process. A test has warehouse and namespaces of its own."""
    require_rest_server()
    folder = tmp_path_factory.mktemp("rest-catalog")
    with running_catalog(RestCatalogServer(folder, free_ports(1)[0], f"file://{folder}/lake")) as server:
        yield server


@pytest.fixture
def rest_catalog(rest_server: RunningCatalog, tmp_path: Path) -> Iterator[Catalogs]:
    """Connections to the REST server, with an empty catalog."""
    settings = remote_settings(rest_server.part.url)

    def open_one() -> LakeConnection:
        # As the server writes it; with slashes, it would name each table in two ways.
        catalog = open_rest_catalog(CATALOG_NAME, settings.lake, settings.s3, LakeFileIO())
        return LakeConnection(catalog, f"file:{tmp_path}/lake", "a folder")

    with opened_catalogs(open_one) as catalogs:
        yield catalogs
        drop_all(catalogs)


@pytest.fixture(scope="session")
def glue_server() -> Iterator[str]:
    """The URL of moto's server, a stand-in of Glue."""
    server = pytest.importorskip("moto.server", reason="NOT RUN: Glue's stand-in is not installed")
    (port,) = free_ports(1)
    started = server.ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    started.start()
    yield f"http://127.0.0.1:{port}"
    started.stop()


@pytest.fixture
def glue_catalog(glue_server: str, tmp_path: Path) -> Iterator[Catalogs]:
    """Connections to the stand-in, with an empty catalog."""
    settings = remote_settings("glue://", f"glue.endpoint={glue_server}")

    def open_one() -> LakeConnection:
        catalog = open_glue_catalog(CATALOG_NAME, settings.lake, settings.s3, LakeFileIO())
        return LakeConnection(catalog, f"file://{tmp_path}/lake", "a folder")

    with opened_catalogs(open_one) as catalogs:
        yield catalogs
        drop_all(catalogs)


def drop_all(catalogs: Catalogs) -> None:
    """Empties a catalog; files stay."""
    catalog = catalogs().catalog
    for namespace in catalog.list_namespaces():
        for table in catalog.list_tables(namespace):
            catalog.drop_table(table)
        catalog.drop_namespace(namespace)
