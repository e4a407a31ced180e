"""The engines that scans run on, each through its own driver; a driver that is not installed is asked for by name."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from datafingerprint.adapters import scan_duckdb
from datafingerprint.adapters.scan_statement import first_line, watched
from datafingerprint.config import EngineSettings, Settings
from datafingerprint.errors import ConfigError, DataFingerprintError, Unavailable
from datafingerprint.scans import ScanEngine

USUAL_PORTS = {"trino": 8080, "presto": 8080, "redshift": 5439}
DRIVERS = {"trino": "trino", "presto": "prestodb", "spark": "pyspark.sql", "redshift": "redshift_connector"}
AWAY = frozenset({"TrinoConnectionError", "Http502Error", "Http503Error", "Http504Error"})
"""Errors of the drivers' own that mean a server that is away."""

SOURCE = "datafingerprint"
"""What the engines' own lists of queries show as their origin."""


def engine_opener(settings: Settings) -> Callable[[str, EngineSettings], AbstractContextManager[ScanEngine]]:
    """What opens an engine by its name and settings.

    Args:
        settings: Where the lake is, for the engine that runs in this process.
    """

    @contextlib.contextmanager
    def opened(name: str, engine: EngineSettings) -> Iterator[ScanEngine]:
        kind = engine.kind or name
        if kind == "duckdb":
            with scan_duckdb.opened(settings.s3, engine) as there:
                yield there
            return
        driver = _driver(kind)
        if kind == "spark":
            yield SparkEngine(driver.SparkSession.builder.appName(SOURCE).getOrCreate(), engine)
            return
        with contextlib.closing(_connected(kind, name, driver, engine)) as connection:
            yield ClientEngine(connection, engine, name, driver)

    return opened


def _driver(kind: str) -> Any:  # noqa: ANN401 - a module of any driver
    try:
        return importlib.import_module(DRIVERS[kind])
    except ModuleNotFoundError:
        raise ConfigError(
            f"the driver of {kind} is not installed", remedy=f"pip install 'datafingerprint[{kind}]'"
        ) from None


def _connected(kind: str, name: str, driver: Any, engine: EngineSettings) -> Any:  # noqa: ANN401 - drivers publish no types
    port, password = engine.port or USUAL_PORTS[kind], engine.password.get_secret_value()
    try:
        if kind == "redshift":
            return driver.connect(
                host=engine.host,
                port=port,
                user=engine.user,
                password=password,
                database=engine.database,
                ssl=engine.tls,
                application_name=SOURCE,
            )
        scheme = "https" if engine.tls else "http"
        more: dict[str, Any] = {"source": SOURCE}
        if kind == "trino":
            more["timezone"] = "UTC"
        else:
            more["http_headers"] = {"X-Presto-Time-Zone": "UTC"}
        if password:
            more["auth"] = (driver.auth.BasicAuthentication)(engine.user, password)
        return driver.dbapi.connect(host=engine.host, port=port, user=engine.user, http_scheme=scheme, **more)
    except Exception as error:
        raise Unavailable(
            f"engine {name} cannot be reached ({first_line(error)})", where=f"{engine.host}:{port}"
        ) from error


class ClientEngine:
    """Trino, Presto and Redshift: a connection to a server."""

    def __init__(self, connection: Any, settings: EngineSettings, name: str, driver: Any) -> None:  # noqa: ANN401 - as above
        self._connection = connection
        self._settings = settings
        self._name = name
        self._driver = driver

    def run(
        self, session: Sequence[str], statement: str, stop: threading.Event, progress: Callable[[str], None]
    ) -> list[Sequence[Any]]:
        """See the port."""
        cursor = self._connection.cursor()

        def work() -> list[Sequence[Any]]:
            for one in session:
                cursor.execute(one)
            cursor.execute(statement)
            return list(cursor.fetchall())

        def cancel() -> None:
            # Trino and Presto end a statement whose client says so; Redshift one whose client is gone.
            end = getattr(cursor, "cancel", None) or self._connection.close
            with contextlib.suppress(Exception):
                end()

        return watched(
            work,
            stop=stop,
            cancel=cancel,
            told=lambda: _splits(getattr(cursor, "stats", None)),
            progress=progress,
            timeout_s=self._settings.timeout_s,
            translate=self._translated,
        )

    def _translated(self, error: Exception) -> DataFingerprintError | None:
        said = first_line(error)
        module = type(error).__module__.split(".")[0]
        if module in ("requests", "urllib3") or isinstance(error, OSError) or type(error).__name__ in AWAY:
            where = f"{self._settings.host}:{self._settings.port}"
            return Unavailable(f"engine {self._name} cannot be reached ({said[:120]})", where=where)
        if module == self._driver.__name__.split(".")[0]:
            return ConfigError(f"engine {self._name} refused the statement: {said}")
        return None


def _splits(stats: Any) -> str:  # noqa: ANN401 - a dictionary of the driver's
    if not isinstance(stats, dict) or not stats.get("totalSplits"):
        return ""
    percent = 100 * int(stats.get("completedSplits", 0)) // int(stats["totalSplits"])
    return f"{percent} %, {stats.get('processedRows', 0)} rows"


class SparkEngine:
    """Spark, as its own settings (`SPARK_CONF_DIR`) say where it runs and what its catalogs are."""

    GROUP = "datafingerprint-scan"

    def __init__(self, session: Any, settings: EngineSettings) -> None:  # noqa: ANN401 - no types are published
        self._session = session
        self._settings = settings

    def run(
        self, session: Sequence[str], statement: str, stop: threading.Event, progress: Callable[[str], None]
    ) -> list[Sequence[Any]]:
        """See the port."""
        context = self._session.sparkContext

        def work() -> list[Sequence[Any]]:
            context.setJobGroup(self.GROUP, "datafingerprint scan", interruptOnCancel=True)
            for one in session:
                self._session.sql(one)
            return [tuple(row) for row in self._session.sql(statement).collect()]

        def translated(error: Exception) -> DataFingerprintError | None:
            module = type(error).__module__.split(".")[0]
            return ConfigError(f"spark refused: {first_line(error)}") if module in ("pyspark", "py4j") else None

        return watched(
            work,
            stop=stop,
            cancel=lambda: context.cancelJobGroup(self.GROUP),
            told=lambda: "",
            progress=progress,
            timeout_s=self._settings.timeout_s,
            translate=translated,
        )
