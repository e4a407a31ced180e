"""The engines that scans run on, each through its own driver; a driver that is not installed is asked for by name."""

from __future__ import annotations

import contextlib
import importlib
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
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
            with scan_duckdb.opened(settings.s3, engine, settings.scratch.directory) as there:
                yield there
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
        # One that is closed or broken already must not hide what happened on it.
        with contextlib.suppress(Exception):
            connection.close()


def _driver(kind: str) -> Any:  # noqa: ANN401 - a module of any driver
    try:
        return importlib.import_module(DRIVERS[kind])
    except ModuleNotFoundError:
        raise ConfigError(
            f"the driver of {kind} is not installed", remedy=f"pip install 'datafingerprint[{kind}]'"
        ) from None


@dataclass(frozen=True)
class Server:
    """Where Trino, Presto or Redshift is, and how to log in there.

    Attributes:
        kind: Which of the three.
        name: Its name in the settings, for errors.
        driver: The module of its driver.
        settings: What the settings say of it.
    """

    kind: str
    name: str
    driver: Any
    settings: EngineSettings

    @property
    def port(self) -> int:
        """The port of the settings, or the usual one."""
        return self.settings.port or USUAL_PORTS[self.kind]

    @property
    def where(self) -> str:
        """Host and port, for errors."""
        return f"{self.settings.host}:{self.port}"

    def connect(self) -> Any:  # noqa: ANN401 - drivers publish no types
        """A connection.

        Raises:
            ConfigError: a password would go over the wire as it is.
            Unavailable: the server is away, or refuses the login.
        """
        given, password = self.settings, self.settings.password.get_secret_value()
        if password and not given.tls and self.kind != "redshift":
            raise ConfigError(
                f"engine {self.name} has a password, which goes over TLS only",
                remedy=f"set engines.{self.name}.tls = true, or leave the password out",
            )
        try:
            if self.kind == "redshift":
                return self._connect_to_redshift(password)
            more: dict[str, Any] = {"source": SOURCE, "http_scheme": "https" if given.tls else "http"}
            if self.kind == "trino":
                more["timezone"] = "UTC"
            else:
                more["http_headers"] = {"X-Presto-Time-Zone": "UTC"}
            if password:
                more["auth"] = (self.driver.auth.BasicAuthentication)(given.user, password)
            return self.driver.dbapi.connect(host=given.host, port=self.port, user=given.user, **more)
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
        # The driver would hold every statement to it as well.
        connection._usock.settimeout(None)  # noqa: SLF001 - it gives no other way
        # Nothing is to be kept between statements; one that was ended would leave its transaction broken.
        connection.autocommit = True
        return connection

    def away(self, error: Exception) -> Unavailable:
        """The error that the server cannot be reached."""
        return Unavailable(f"engine {self.name} cannot be reached ({_of_network(error)})", where=self.where)

    def translated(self, error: Exception) -> DataFingerprintError | None:
        """An error of the driver as one of ours; None for what is none of its."""
        module = type(error).__module__.split(".")[0]
        if module in ("requests", "urllib3") or isinstance(error, OSError) or type(error).__name__ in AWAY:
            return self.away(error)
        if module == self.driver.__name__.split(".")[0]:
            said = first_line(error)
            # So Trino and Presto answer each other's clients, and a wrong login.
            remedy = (
                f"look at the login, and whether a {self.kind} listens at {self.where}"
                if said.startswith("error 4")
                else ""
            )
            return ConfigError(f"engine {self.name} refused the statement: {said}", remedy=remedy)
        return None


def _of_network(error: BaseException) -> str:
    """What the network said, where that is at the bottom of what clients have put round it; else the error itself."""
    found = first_line(error)[:120]
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError) and below.strerror:
            found = below.strerror
        below = below.__cause__ or below.__context__
    return found


class ClientEngine:
    """Trino and Presto: a connection to a server, which ends a statement when its client says so."""

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
                f"engine {self._server.name} cannot be asked: {first_line(error)}"
            ) from error

        def work() -> list[Sequence[Any]]:
            self._begin(cursor)
            for one in session:
                cursor.execute(one)
            cursor.execute(statement)
            return list(cursor.fetchall())

        return watched(
            work,
            stop=stop,
            cancel=lambda: self._cancel(cursor),
            told=lambda: _splits(getattr(cursor, "stats", None)),
            progress=progress,
            timeout_s=self._server.settings.timeout_s,
            translate=self._server.translated,
        )

    def _begin(self, cursor: Any) -> None:  # noqa: ANN401 - as above
        """What is asked before everything else."""

    def _cancel(self, cursor: Any) -> None:  # noqa: ANN401 - as above
        """Ends the statement at the server; raises what kept it from that."""
        cursor.cancel()


class RedshiftEngine(ClientEngine):
    """Redshift: its driver cannot end a statement, but another connection of the same user can."""

    _process: int | None = None

    def _begin(self, cursor: Any) -> None:  # noqa: ANN401 - as above
        cursor.execute("SELECT pg_backend_pid()")
        self._process = int(cursor.fetchone()[0])

    def _cancel(self, cursor: Any) -> None:  # noqa: ANN401 - as above
        del cursor
        if self._process is None:
            raise Unavailable("the statement has not begun")
        with _closing(self._server.connect()) as second:
            asked = second.cursor()
            asked.execute(f"SELECT pg_cancel_backend({self._process})")
            if not asked.fetchone()[0]:
                raise Unavailable("pg_cancel_backend did not end it")


def _splits(stats: Any) -> str:  # noqa: ANN401 - a dictionary of the driver's
    if not isinstance(stats, dict) or not stats.get("totalSplits"):
        return ""
    percent = 100 * int(stats.get("completedSplits", 0)) // int(stats["totalSplits"])
    return f"{percent} %, {stats.get('processedRows', 0)} rows"


def _spark_session(driver: Any, name: str, within_s: float) -> Any:  # noqa: ANN401 - no types are published
    """The session of this process; it starts in a thread of its own, for where Spark is to run may never answer.

    There it also leaves Ctrl-C to the command: in the main thread it puts a handler of its own in its place.
    """
    found: list[Any] = []
    failed: list[Exception] = []

    def start() -> None:
        try:
            found.append(driver.SparkSession.builder.appName(SOURCE).getOrCreate())
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits
            failed.append(error)

    thread = threading.Thread(target=start, daemon=True)
    thread.start()
    thread.join(within_s)
    if failed:
        raise ConfigError(
            f"spark cannot be started: {first_line(failed[0])}", remedy="check SPARK_CONF_DIR, and that there is a Java"
        ) from failed[0]
    if not found:
        raise Unavailable(
            f"spark did not start within {within_s:g} s",
            remedy=f"raise engines.{name}.connect_timeout_s, or look at what SPARK_CONF_DIR says where it runs",
        )
    return found[0]


class SparkEngine:
    """Spark, as its own settings (`SPARK_CONF_DIR`) say where it runs and what its catalogs are."""

    def __init__(self, session: Any, settings: EngineSettings) -> None:  # noqa: ANN401 - no types are published
        self._session = session
        self._settings = settings

    def run(
        self, session: Sequence[str], statement: str, stop: threading.Event, progress: Callable[[str], None]
    ) -> list[Sequence[Any]]:
        """See the port."""
        # A process has one session: each scan has a group of its own, so that one alone can be ended.
        group = f"{SOURCE}-{uuid.uuid4()}"
        try:
            context = self._session.sparkContext
            tracker = context.statusTracker()
        except Exception as error:
            raise ConfigError(f"spark cannot be asked: {first_line(error)}") from error

        def work() -> list[Sequence[Any]]:
            context.setJobGroup(group, "datafingerprint scan", interruptOnCancel=True)
            for one in session:
                self._session.sql(one)
            return [tuple(row) for row in self._session.sql(statement).collect()]

        def translated(error: Exception) -> DataFingerprintError | None:
            module = type(error).__module__.split(".")[0]
            return ConfigError(f"spark refused: {first_line(error)}") if module in ("pyspark", "py4j") else None

        return watched(
            work,
            stop=stop,
            cancel=lambda: context.cancelJobGroup(group),
            told=lambda: _tasks(tracker, group),
            progress=progress,
            timeout_s=self._settings.timeout_s,
            translate=translated,
        )


def _tasks(tracker: Any, group: str) -> str:  # noqa: ANN401 - as above
    """How many tasks of the stages known so far are done."""
    jobs = [tracker.getJobInfo(job) for job in tracker.getJobIdsForGroup(group)]
    stages = [tracker.getStageInfo(stage) for job in jobs if job is not None for stage in job.stageIds]
    tasks = sum(stage.numTasks for stage in stages if stage is not None)
    done = sum(stage.numCompletedTasks for stage in stages if stage is not None)
    return f"{100 * done // tasks} %, {done} of {tasks} tasks" if tasks else ""
