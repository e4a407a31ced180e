"""Opens the engines of scans, each by its own driver, which need not be installed."""

from __future__ import annotations

import contextlib
import importlib
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from datafingerprint.adapters.engines import duckdb as scan_duckdb
from datafingerprint.adapters.engines.statement import first_line, run_cancellable
from datafingerprint.config import EngineSettings, Settings
from datafingerprint.errors import ConfigError, DataFingerprintError, Unavailable
from datafingerprint.scans import ScanEngine

DEFAULT_PORTS = {"trino": 8080, "presto": 8080, "redshift": 5439}
DRIVERS = {"trino": "trino", "presto": "prestodb", "spark": "pyspark.sql", "redshift": "redshift_connector"}
PACKAGES = {"trino": "trino", "presto": "presto-python-client", "spark": "pyspark", "redshift": "redshift-connector"}
AWAY = frozenset({"TrinoConnectionError", "Http502Error", "Http503Error", "Http504Error"})
"""Driver errors that mean that the server is away."""

SOURCE = "datafingerprint"
"""The origin that the query lists of engines show."""

_SEE_ENGINE = "read the log of the engine, and check that the configured account may read the lake there"


def engine_opener(settings: Settings) -> Callable[[str, EngineSettings], AbstractContextManager[ScanEngine]]:
    """A function that opens an engine by its name and settings.

    Args:
        settings: The location of the lake, for the engine that runs in this process.
    """

    @contextlib.contextmanager
    def opened(name: str, engine: EngineSettings) -> Iterator[ScanEngine]:
        kind = engine.kind or name
        if kind == "duckdb":
            with scan_duckdb.opened(settings.s3, engine, settings.scratch.directory) as opened_engine:
                yield opened_engine
            return
        driver = _driver(kind)
        if kind == "spark":
            yield SparkEngine(_spark_session(driver, name, engine.connect_timeout_s), engine)
            return
        server = Server(kind, name, driver, engine)
        with _closing(server.connect()) as connection:
            yield (RedshiftEngine if kind == "redshift" else ClientEngine)(connection, server)

    return opened


@contextlib.contextmanager
def _closing(connection: Any) -> Iterator[Any]:  # noqa: ANN401 - drivers publish no types
    try:
        yield connection
    finally:
        # An error of a connection that is closed or broken must not hide the error before it.
        with contextlib.suppress(Exception):
            connection.close()


def _driver(kind: str) -> Any:  # noqa: ANN401 - a module of any driver
    try:
        return importlib.import_module(DRIVERS[kind])
    except ModuleNotFoundError:
        raise ConfigError(f"the driver of {kind} is not installed", remedy=f"pip install {PACKAGES[kind]}") from None


@dataclass(frozen=True)
class Server:
    """The address and login of Trino, Presto or Redshift.

    Attributes:
        kind: Which of the three.
        name: Its name in the settings, for errors.
        driver: The module of its driver.
        settings: Its settings.
    """

    kind: str
    name: str
    driver: Any
    settings: EngineSettings

    @property
    def port(self) -> int:
        """The configured port, or the default of the engine."""
        return self.settings.port or DEFAULT_PORTS[self.kind]

    @property
    def where(self) -> str:
        """Host and port, to name in errors."""
        return f"{self.settings.host}:{self.port}"

    def connect(self) -> Any:  # noqa: ANN401 - drivers publish no types
        """Open a connection.

        Raises:
            ConfigError: the connection would send a password without TLS.
            Unavailable: the server is away, or refuses the login.
        """
        settings, password = self.settings, self.settings.password.get_secret_value()
        if password and not settings.tls and self.kind != "redshift":
            raise ConfigError(
                f"engine {self.name} has a password, which goes over TLS only",
                remedy=f"set engines.{self.name}.tls = true, or leave the password out",
            )
        try:
            if self.kind == "redshift":
                return self._connect_to_redshift(password)
            options: dict[str, Any] = {"source": SOURCE, "http_scheme": "https" if settings.tls else "http"}
            if self.kind == "trino":
                options["timezone"] = "UTC"
            else:
                options["http_headers"] = {"X-Presto-Time-Zone": "UTC"}
            if password:
                options["auth"] = (self.driver.auth.BasicAuthentication)(settings.user, password)
            return self.driver.dbapi.connect(host=settings.host, port=self.port, user=settings.user, **options)
        except Exception as error:
            raise self.away(error) from error

    def _connect_to_redshift(self, password: str) -> Any:  # noqa: ANN401 - as above
        connection = self.driver.connect(
            host=self.settings.host,
            port=self.port,
            user=self.settings.user,
            password=password,
            database=self.settings.database,
            ssl=self.settings.tls,
            application_name=SOURCE,
            timeout=self.settings.connect_timeout_s,
        )
        # Otherwise the connect timeout would limit every statement too.
        connection._usock.settimeout(None)  # noqa: SLF001 - the driver has no public way
        # Otherwise a cancelled statement would leave a broken transaction for the next one.
        connection.autocommit = True
        return connection

    def away(self, error: Exception) -> Unavailable:
        """The error for a server that cannot be reached."""
        return Unavailable(f"engine {self.name} cannot be reached ({_network_reason(error)})", where=self.where)

    def translated(self, error: Exception) -> DataFingerprintError | None:
        """A driver error as one of ours; None for any other error."""
        module = type(error).__module__.split(".")[0]
        if module in ("requests", "urllib3") or isinstance(error, OSError) or type(error).__name__ in AWAY:
            return self.away(error)
        if module == self.driver.__name__.split(".")[0]:
            message = first_line(error)
            # Trino and Presto answer this to each other's clients, and to a wrong login.
            remedy = (
                f"check the login, and that {self.kind} listens at {self.where}"
                if message.startswith("error 4")
                else ""
            )
            return ConfigError(f"engine {self.name} refused the statement: {message}", remedy=remedy)
        return None


def _network_reason(error: BaseException) -> str:
    """The network error at the root of a chain of client errors; else the error itself."""
    reason = first_line(error)[:120]
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            reason = cause.strerror
        cause = cause.__cause__ or cause.__context__
    return reason


class ClientEngine:
    """Trino and Presto: a connection to a server, which can cancel a statement."""

    def __init__(self, connection: Any, server: Server) -> None:  # noqa: ANN401 - drivers publish no types
        self._connection = connection
        self._server = server

    def run(
        self, session: Sequence[str], statement: str, stop: threading.Event, progress: Callable[[str], None]
    ) -> list[Sequence[Any]]:
        """See the port."""
        try:
            cursor = self._connection.cursor()
        except Exception as error:
            raise self._server.translated(error) or ConfigError(
                f"engine {self._server.name} cannot take a statement: {first_line(error)}", remedy=_SEE_ENGINE
            ) from error

        def work() -> list[Sequence[Any]]:
            self._begin(cursor)
            for setting in session:
                cursor.execute(setting)
            cursor.execute(statement)
            return list(cursor.fetchall())

        return run_cancellable(
            work,
            stop=stop,
            cancel=lambda: self._cancel(cursor),
            read_progress=lambda: _splits(getattr(cursor, "stats", None)),
            progress=progress,
            timeout_s=self._server.settings.timeout_s,
            translate=self._server.translated,
        )

    def _begin(self, cursor: Any) -> None:  # noqa: ANN401 - as above
        """Runs before the first statement; does nothing here."""

    def _cancel(self, cursor: Any) -> None:  # noqa: ANN401 - as above
        """Cancels the statement at the server; raises the error if that fails."""
        cursor.cancel()


class RedshiftEngine(ClientEngine):
    """Redshift: its driver cannot cancel a statement, but a second connection of the user can."""

    _process: int | None = None

    def _begin(self, cursor: Any) -> None:  # noqa: ANN401 - as above
        cursor.execute("SELECT pg_backend_pid()")
        self._process = int(cursor.fetchone()[0])

    def _cancel(self, cursor: Any) -> None:  # noqa: ANN401 - as above
        del cursor
        if self._process is None:
            raise Unavailable("the statement has not begun")
        with _closing(self._server.connect()) as second:
            cursor = second.cursor()
            cursor.execute(f"SELECT pg_cancel_backend({self._process})")
            if not cursor.fetchone()[0]:
                raise Unavailable("pg_cancel_backend did not end it")


def _splits(stats: Any) -> str:  # noqa: ANN401 - a dictionary of the driver's
    if not isinstance(stats, dict) or not stats.get("totalSplits"):
        return ""
    percent = 100 * int(stats.get("completedSplits", 0)) // int(stats["totalSplits"])
    return f"{percent} %, {stats.get('processedRows', 0)} rows"


def _spark_session(driver: Any, name: str, within_s: float) -> Any:  # noqa: ANN401 - no types are published
    """The session of this process. It starts in a thread, since Spark may never answer.

    Outside the main thread Spark also cannot replace the command's handler of Ctrl-C.
    """
    sessions: list[Any] = []
    failed: list[Exception] = []

    def start() -> None:
        try:
            sessions.append(driver.SparkSession.builder.appName(SOURCE).getOrCreate())
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits
            failed.append(error)

    thread = threading.Thread(target=start, daemon=True)
    thread.start()
    thread.join(within_s)
    if failed:
        raise ConfigError(
            f"spark cannot be started: {first_line(failed[0])}",
            remedy="check SPARK_CONF_DIR, and that Java is installed",
        ) from failed[0]
    if not sessions:
        raise Unavailable(
            f"spark did not start within {within_s:g} s",
            remedy=f"raise engines.{name}.connect_timeout_s, or check the master that SPARK_CONF_DIR names",
        )
    return sessions[0]


class SparkEngine:
    """Spark. Its own settings (`SPARK_CONF_DIR`) name its master and catalogs."""

    def __init__(self, session: Any, settings: EngineSettings) -> None:  # noqa: ANN401 - no types are published
        self._session = session
        self._settings = settings

    def run(
        self, session: Sequence[str], statement: str, stop: threading.Event, progress: Callable[[str], None]
    ) -> list[Sequence[Any]]:
        """See the port."""
        # A process has one session. Each scan has its own job group, so that it can be cancelled alone.
        group = f"{SOURCE}-{uuid.uuid4()}"
        try:
            context = self._session.sparkContext
            tracker = context.statusTracker()
        except Exception as error:
            raise ConfigError(f"spark cannot take a statement: {first_line(error)}", remedy=_SEE_ENGINE) from error

        def work() -> list[Sequence[Any]]:
            context.setJobGroup(group, "datafingerprint scan", interruptOnCancel=True)
            for setting in session:
                self._session.sql(setting)
            return [tuple(row) for row in self._session.sql(statement).collect()]

        def translated(error: Exception) -> DataFingerprintError | None:
            module = type(error).__module__.split(".")[0]
            what = f"spark refused: {first_line(error)}"
            return ConfigError(what, remedy=_SEE_ENGINE) if module in ("pyspark", "py4j") else None

        return run_cancellable(
            work,
            stop=stop,
            cancel=lambda: context.cancelJobGroup(group),
            read_progress=lambda: _tasks(tracker, group),
            progress=progress,
            timeout_s=self._settings.timeout_s,
            translate=translated,
        )


def _tasks(tracker: Any, group: str) -> str:  # noqa: ANN401 - as above
    """The share of finished tasks in the stages known so far."""
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
    stages = [tracker.getStageInfo(stage) for job in jobs if job is not None for stage in job.stageIds]
    tasks = sum(stage.numTasks for stage in stages if stage is not None)
    done = sum(stage.numCompletedTasks for stage in stages if stage is not None)
    return f"{100 * done // tasks} %, {done} of {tasks} tasks" if tasks else ""
