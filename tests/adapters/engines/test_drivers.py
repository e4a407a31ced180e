# ruff: noqa: N802, N803 - the names are those of the drivers
"""A driver error is one clear line, and only the cancelled statement ends at the engine.

The drivers here are fakes. The tests in `tests/engines` use the real drivers and servers.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from datafingerprint.adapters.engines import statement as scan_statement
from datafingerprint.adapters.engines.drivers import DRIVERS, PACKAGES, _driver, engine_opener
from datafingerprint.config import EngineSettings, load_settings
from datafingerprint.errors import ConfigError, DataFingerprintError, Unavailable
from datafingerprint.scans import Cancelled

WITHIN_S = 30.0
OPENED = engine_opener(load_settings({}, {}))


class DriverError(Exception):
    """An error class of a driver."""


def engine(**given: object) -> EngineSettings:
    return EngineSettings.model_validate(given)


def ask(name: str, settings: EngineSettings, report: Callable[[str], None] = lambda _: None) -> list[Sequence[Any]]:
    with OPENED(name, settings) as opened:
        return opened.run((), "SELECT 1", threading.Event(), report)


@dataclass
class Server:
    """How the cursors of a fake behave, and what they received."""

    failure: Exception | None = None
    answer: list[Sequence[Any]] = field(default_factory=list)
    works: bool = False
    cancels: list[str] = field(default_factory=list)
    refuses_cancel: bool = False
    limits: list[float | None] = field(default_factory=list)
    connections: list[dict[str, object]] = field(default_factory=list)
    started: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)

    def connect(self, **given: object) -> Connection:
        self.connections.append(given)
        return Connection(self)


@dataclass
class Connection:
    """A connection that always fails to close."""

    server: Server

    @property
    def _usock(self) -> SimpleNamespace:
        """The socket that Redshift's driver waits on."""
        return SimpleNamespace(settimeout=self.server.limits.append)

    def cursor(self) -> Cursor:
        if self.server.failure is not None and isinstance(self.server.failure, ValueError):
            raise self.server.failure
        return Cursor(self.server)

    def close(self) -> None:
        raise DriverError("the connection is closed")


@dataclass
class Cursor:
    """A cursor whose statement runs until it is cancelled, if `Server.works`."""

    server: Server
    stats: dict[str, int] = field(default_factory=lambda: {"totalSplits": 4, "completedSplits": 1, "processedRows": 9})
    last_statement: str = ""

    def execute(self, statement: str) -> None:
        self.last_statement = statement
        if statement == "SELECT 1":
            if self.server.failure is not None:
                raise self.server.failure
            self.server.started.set()
            if self.server.works:
                assert self.server.over.wait(WITHIN_S)
                raise DriverError("cancelled")
        elif statement.startswith("SELECT pg_cancel_backend"):
            self.server.cancels.append(statement)
            if not self.server.refuses_cancel:
                self.server.over.set()

    def fetchone(self) -> Sequence[Any]:
        return (4711,) if self.last_statement == "SELECT pg_backend_pid()" else (not self.server.refuses_cancel,)

    def fetchall(self) -> list[Sequence[Any]]:
        return self.server.answer

    def cancel(self) -> None:
        self.server.cancels.append("cancel")
        self.server.over.set()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """One fake of Trino, Presto and Redshift."""
    monkeypatch.setattr(scan_statement, "CHECK_S", 0.01)
    fake = Server()
    for name in ("trino", "prestodb", "redshift_connector"):
        module: Any = ModuleType(name)
        module.dbapi, module.connect = SimpleNamespace(connect=fake.connect), fake.connect
        module.auth = SimpleNamespace(BasicAuthentication=lambda *given: given)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(DriverError, "__module__", "trino.exceptions")
    yield fake
    fake.over.set()


@pytest.mark.parametrize("kind", ["trino", "presto"])
def test_a_password_is_not_sent_without_tls(server: Server, kind: str) -> None:
    with pytest.raises(ConfigError, match=r"^engine my has a password, which goes over TLS only: set engines\.my\.tls"):
        ask("my", engine(kind=kind, password="p"))
    assert ask("my", engine(kind=kind, password="p", tls=True)) == []
    assert [settings["http_scheme"] for settings in server.connections] == ["https"]


@pytest.mark.parametrize(
    ("kind", "failure", "kind_of_error", "complaint"),
    [
        (
            "trino",
            ValueError("no such thing"),
            ConfigError,
            r"^engine my cannot take a statement: no such thing: read the log",
        ),
        ("trino", OSError("refused"), Unavailable, r"^engine my cannot be reached \(refused\) at 127\.0\.0\.1:8080$"),
        ("redshift", OSError("refused"), Unavailable, r"^engine my .* at 127\.0\.0\.1:5439$"),
        ("trino", DriverError("line 1:8: no\nmore"), ConfigError, r"^engine my refused the statement: line 1:8: no$"),
    ],
)
def test_a_driver_error_is_one_line_with_the_port_of_the_server(
    server: Server, kind: str, failure: Exception, kind_of_error: type[DataFingerprintError], complaint: str
) -> None:
    server.failure = failure
    with pytest.raises(kind_of_error, match=complaint):
        ask("my", engine(kind=kind))


def wrapped(cause: OSError) -> Exception:
    """A network error as HTTP clients wrap it, in a message that lacks the reason."""
    try:
        try:
            raise cause
        except OSError as error:
            raise ConnectionError("HTTPConnectionPool(...): Max retries exceeded with url: /v1/statement") from error
    except OSError as error:
        outer = DriverError("failed to execute")
        outer.__context__ = error
        return outer


@pytest.mark.parametrize("kind", ["trino", "redshift"])
def test_the_network_error_is_shown_and_not_the_client_errors_around_it(server: Server, kind: str) -> None:
    server.failure = OSError("failed")
    server.failure.__cause__ = wrapped(ConnectionRefusedError(111, "Connection refused"))
    with pytest.raises(Unavailable, match=r"^engine my cannot be reached \(Connection refused\) at 127"):
        ask("my", engine(kind=kind))


@pytest.mark.parametrize(
    ("kind", "cancels"),
    [("trino", "cancel"), ("presto", "cancel"), ("redshift", "SELECT pg_cancel_backend(4711)")],
)
def test_a_statement_that_is_cancelled_ends_at_the_server(server: Server, kind: str, cancels: str) -> None:
    server.works = True
    stop = threading.Event()
    with pytest.raises(Cancelled, match=r"^$"), OPENED("my", engine(kind=kind, host="far")) as opened:
        opened.run((), "SELECT 1", stop, lambda _: stop.set() if server.started.is_set() else None)
    assert set(server.cancels) == {cancels}
    assert {settings["host"] for settings in server.connections} == {"far"}


def test_a_cancel_that_redshift_refuses_is_reported(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_statement, "CANCEL_WITHIN_S", 0.1)
    server.works = server.refuses_cancel = True
    stop = threading.Event()
    with (
        pytest.raises(Cancelled, match=r"^the engine may work on \(pg_cancel_backend did not end it\)$"),
        OPENED("redshift", engine()) as opened,
    ):
        opened.run((), "SELECT 1", stop, lambda _: stop.set() if server.started.is_set() else None)


def test_the_connect_timeout_of_redshift_does_not_limit_statements(server: Server) -> None:
    assert ask("redshift", engine(connect_timeout_s=7)) == []
    assert [settings["timeout"] for settings in server.connections] == [7]
    assert server.limits == [None]


def test_the_progress_of_a_server_is_reported(server: Server) -> None:
    server.works = True
    texts: list[str] = []

    def progress(text: str) -> None:
        texts.append(text)
        server.over.set()

    with pytest.raises(ConfigError, match="cancelled"):
        ask("trino", engine(), progress)
    assert texts[0] == "25 %, 9 rows"


class Spark:
    """A fake session of Spark, whose statements run until their job group is cancelled."""

    def __init__(self) -> None:
        self.sparkContext = self
        self.builder = self
        self.groups: dict[int, str] = {}
        self.ended: dict[str, threading.Event] = {}
        self.failure: Exception | None = None
        self.may_start = threading.Event()
        self.may_start.set()

    def appName(self, _name: str) -> Spark:
        return self

    def getOrCreate(self) -> Spark:
        assert self.may_start.wait(WITHIN_S)
        if self.failure:
            raise self.failure
        return self

    def statusTracker(self) -> Spark:
        return self

    def getJobIdsForGroup(self, group: str) -> list[int]:
        return [1] if group in self.ended else []

    def getJobInfo(self, _job: int) -> SimpleNamespace:
        return SimpleNamespace(stageIds=[7, 8])

    def getStageInfo(self, stage: int) -> SimpleNamespace | None:
        return SimpleNamespace(numTasks=4, numCompletedTasks=1) if stage == 7 else None

    def setJobGroup(self, group: str, _words: str, *, interruptOnCancel: bool) -> None:
        assert interruptOnCancel
        self.groups[threading.get_ident()] = group
        self.ended[group] = threading.Event()

    def sql(self, _statement: str) -> Spark:
        return self

    def collect(self) -> list[tuple[int]]:
        assert self.ended[self.groups[threading.get_ident()]].wait(WITHIN_S)
        return [(1,)]

    def cancelJobGroup(self, group: str) -> None:
        if group in self.ended:
            self.ended[group].set()


@pytest.fixture
def spark(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spark]:
    monkeypatch.setattr(scan_statement, "CHECK_S", 0.01)
    fake = Spark()
    module: Any = ModuleType("pyspark.sql")
    module.SparkSession = fake
    monkeypatch.setitem(sys.modules, "pyspark", ModuleType("pyspark"))
    monkeypatch.setitem(sys.modules, "pyspark.sql", module)
    yield fake
    fake.may_start.set()
    for ended in fake.ended.values():
        ended.set()


def test_a_scan_on_spark_reports_progress_and_is_cancelled_alone(spark: Spark) -> None:
    rows: list[list[Sequence[Any]]] = []
    other = threading.Thread(target=lambda: rows.append(ask("spark", engine())))
    other.start()
    stop, texts = threading.Event(), []

    def progress(text: str) -> None:
        texts.append(text)
        if len(spark.ended) == 2 and text:
            stop.set()

    with pytest.raises(Cancelled, match=r"^$"), OPENED("spark", engine()) as opened:
        opened.run((), "SELECT 1", stop, progress)
    assert texts[-1] == "25 %, 1 of 4 tasks"
    (other_ended,) = [ended for ended in spark.ended.values() if not ended.is_set()]
    assert rows == []
    other_ended.set()
    other.join(WITHIN_S)
    assert rows == [[(1,)]]


def test_a_spark_that_does_not_start_is_one_line(spark: Spark) -> None:
    spark.failure = RuntimeError("Java gateway process exited\nbefore sending its port number")
    with pytest.raises(ConfigError, match=r"^spark cannot be started: Java gateway process exited: check SPARK_CONF_D"):
        ask("spark", engine())


def test_a_spark_that_starts_too_slowly_is_given_up_in_time(spark: Spark) -> None:
    spark.may_start.clear()
    with pytest.raises(
        Unavailable, match=r"^spark did not start within 0\.05 s: raise engines\.mine\.connect_timeout_s"
    ):
        ask("mine", engine(kind="spark", connect_timeout_s=0.05))


@pytest.mark.parametrize("kind", sorted(DRIVERS))
def test_a_driver_that_is_not_installed_is_named_with_what_installs_it(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, DRIVERS[kind], None)
    with pytest.raises(ConfigError) as refused:
        _driver(kind)
    assert str(refused.value) == f"the driver of {kind} is not installed: pip install {PACKAGES[kind]}"
