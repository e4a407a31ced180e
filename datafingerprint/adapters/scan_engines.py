"""The engines that scans run on, each through its own driver; a driver that is not installed is asked for by name."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import duckdb

from datafingerprint.adapters.scan_statement import first_line, watched
from datafingerprint.config import S3, EngineSettings, Settings
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
            with _duckdb(settings.s3) as connection:
                yield DuckDBEngine(connection, engine)
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


class DuckDBEngine:
    """DuckDB in this process, over S3."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, settings: EngineSettings) -> None:
        self._connection = connection
        self._settings = settings

    def run(
        self, session: Sequence[str], statement: str, stop: threading.Event, progress: Callable[[str], None]
    ) -> list[Sequence[Any]]:
        """See the port."""

        def work() -> list[Sequence[Any]]:
            for one in session:
                self._connection.execute(one)
            return list(self._connection.execute(statement).fetchall())

        def translated(error: Exception) -> DataFingerprintError | None:
            if isinstance(error, duckdb.IOException | duckdb.HTTPException):
                return Unavailable(f"the lake cannot be read ({first_line(error)})")
            return ConfigError(f"duckdb refused: {first_line(error)}") if isinstance(error, duckdb.Error) else None

        return watched(
            work,
            stop=stop,
            cancel=self._connection.interrupt,
            told=self._percent,
            progress=progress,
            timeout_s=self._settings.timeout_s,
            translate=translated,
        )

    def _percent(self) -> str:
        done = self._connection.query_progress()
        return f"{done:.0f} %" if done > 0 else ""


@contextlib.contextmanager
def _duckdb(s3: S3) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as connection:
        try:
            module = importlib.import_module("duckdb_extension_httpfs")
            extension = next(Path(str(module.__file__)).parent.rglob("httpfs.duckdb_extension"))
            connection.load_extension(str(extension))
        except (ModuleNotFoundError, StopIteration):
            try:
                connection.install_extension("httpfs")
                connection.load_extension("httpfs")
            except duckdb.Error:
                raise ConfigError(
                    "DuckDB's httpfs is not installed", remedy="pip install 'datafingerprint[duckdb]'"
                ) from None
        secure = not s3.endpoint.startswith("http://")
        options = {
            "KEY_ID": s3.access_key,
            "SECRET": s3.secret_key.get_secret_value(),
            "REGION": s3.region,
            "ENDPOINT": s3.endpoint.partition("://")[2],
            "URL_STYLE": "path" if s3.endpoint else "",
        }
        given = ", ".join(f"{name} {_quoted(value)}" for name, value in options.items() if value)
        provider = "" if s3.access_key else ", PROVIDER credential_chain"
        connection.execute(f"CREATE SECRET (TYPE s3{provider}, {given}, USE_SSL {str(secure).lower()})")
        yield connection


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


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
