"""A store with a small league in it, and the application over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx
import pytest
from fastapi import FastAPI

from api.application import create_app
from api.ports import LagReader, ServicesReader, StateView, Store
from datafingerprint.adapters.state.incidents import SqlIncidentStore
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.audit import Finding, Hop, MeasuredAt
from datafingerprint.audits import AuditProgress, AuditState, Origin, Scope
from datafingerprint.column_types import column
from datafingerprint.epochs import Epoch, OffsetRange, SnapshotCursor, SourcePosition, Transaction
from datafingerprint.errors import DataFingerprintError
from datafingerprint.fingerprint import Fingerprint
from datafingerprint.ledger import Advance, FileSums, LakeTableState, Progress, SumKey, TableVerdicts
from datafingerprint.liveness import CHAIN, Roster, ServiceReport, Services, ServiceState
from datafingerprint.schema import TableSchema
from datafingerprint.verdict import Outcome, judge_table

GAMES, PLAYERS, TRADES = "ootp.games", "ootp.players", "ootp.<trades>"
NOW = 1_000_020.0

G2031 = Fingerprint(2431, 0x5F0C22D1B07E4A59, 9241175013205331968)
G2032 = Fingerprint(12, 7, 2**64 - 1)
SHORT = Fingerprint(11, 5, 6)
SHORT_BY_ONE = "the stream has 1 row too few"


@dataclass
class FakeLagReader:
    """Hands out what a test puts in, or fails as the broker would."""

    groups: dict[str, dict[str, int]] = field(
        default_factory=lambda: {
            "dfp-lake-writer": {"dfp.epochs": 4, "dfp.ootp.games": 2},
            "dfp-fingerprinter": {"dfp.epochs": 0},
        }
    )
    failure: DataFingerprintError | None = None

    def messages(self) -> Mapping[str, Mapping[str, int]]:
        """See the port."""
        if self.failure is not None:
            raise self.failure
        return self.groups


@dataclass
class FakeServices:
    """What the services said, as a test puts it in: service to state, message and remedy; all that are needed run."""

    said: dict[str, tuple[ServiceState, str, str]] = field(
        default_factory=lambda: dict.fromkeys(CHAIN, (ServiceState.RUNNING, "working", ""))
    )
    silent_s: dict[str, float] = field(default_factory=dict)
    away: str | None = None

    def services(self) -> Services:
        """See the port."""
        roster = Roster()
        for number, (name, (state, message, remedy)) in enumerate(self.said.items()):
            heard_at = NOW - self.silent_s.get(name, 1.0)
            report = ServiceReport(
                name, f"here:{number}", "here", number, "1", state, NOW - 100, NOW - 90, heard_at, message, remedy
            )
            roster.hear(report, heard_at)
        return Services(roster.services(NOW), self.away)


def table(name: str, *partition: str) -> TableSchema:
    """A table with a key and a date."""
    columns = (
        column("id", "int(11)", nullable=False, charset=None),
        column("date", "date", nullable=True, charset=None),
    )
    return TableSchema("ootp", name, columns, ("id",), partition)


def epoch(number: int, rows: int, *, complete: bool = True) -> Epoch:
    """An epoch with rows of games; the second table is read up to 40 % unless all is complete."""
    ranges = {GAMES: {0: OffsetRange(0, 9, 1, rows)}} if rows else {}
    players = SnapshotCursor(40, 100, complete=complete)
    return Epoch(
        "stream",
        number,
        SourcePosition(f"0-1-{number}", "binlog.000004", 7000 + number),
        1_000_000.0 + number,
        ranges,
        (Transaction(0, f"0-1-{number}", "binlog.000004", 1),) if rows else (),
        {GAMES: SnapshotCursor(9, 9, complete=True), PLAYERS: players, TRADES: SnapshotCursor(0, 0, complete=True)},
    )


def seed(store: SqlStateStore) -> None:
    """Five epochs; the lake was judged at the third: one partition equal, one short, an empty table, one half read."""
    store.advance(
        Progress(),
        Advance(
            Progress("stream", 5, 10),
            [epoch(1, 3), epoch(2, 0), epoch(3, 1, complete=False), epoch(4, 0), epoch(5, 6, complete=False)],
            [
                (1, SumKey(GAMES, "date_year=2031", 0), G2031),
                (3, SumKey(GAMES, "date_year=2032", 0), G2032),
                (5, SumKey(PLAYERS, "a=x/b=%2F", 0), G2032),
            ],
            {
                GAMES: (1, table("games", "year(date)")),
                PLAYERS: (2, table("players", "a", "b")),
                TRADES: (3, table("<trades>")),
            },
        ),
    )
    files = [FileSums("s3://lake/1", "e", 100, {"date_year=2031": G2031, "date_year=2032": SHORT}, 1.0)]
    store.save_lake(LakeTableState(GAMES, 77, 3, is_foreign=False, unreadable=""), files, [])
    source, lake = {"date_year=2031": G2031, "date_year=2032": G2032}, files[0].sums
    store.save_verdicts(
        Progress("stream", 5, 10, 3, 1),
        [
            TableVerdicts(GAMES, 3, judge_table(source, lake)),
            TableVerdicts(TRADES, 3, {}),
            TableVerdicts(PLAYERS, 3, {}),
        ],
        1_000_010.0,
    )
    audit = store.begin_audit(Scope(GAMES), Origin.SCHEDULE, "somebody", 1_000_011.0)
    at = MeasuredAt(SourcePosition("0-1-4", "binlog.000004", 7004), 4, 1_000_012.0)
    findings = [
        Finding(GAMES, "date_year=2031", Outcome.MATCH, (), "", G2031, G2031, at),
        Finding(
            GAMES, "date_year=2032", Outcome.MISMATCH, (Hop.CAPTURE,), "the stream has 1 row too few", G2032, SHORT, at
        ),
    ]
    store.advance_audit(audit.number, "somebody", 1_000_013.0, AuditProgress(2, 2, 2443), findings)
    store.end_audit(audit.number, "somebody", 1_000_014.0, AuditState.DONE)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStateStore]:
    with closing(SqlStateStore(f"sqlite:///{tmp_path}/state.db", clock=lambda: 1_000_009.0)) as opened:
        yield opened


@pytest.fixture
def incidents(tmp_path: Path) -> Iterator[SqlIncidentStore]:
    """The incidents in the same database."""
    with closing(SqlIncidentStore(f"sqlite:///{tmp_path}/state.db")) as opened:
        yield opened


@pytest.fixture
def seeded(store: SqlStateStore) -> SqlStateStore:
    seed(store)
    return store


@pytest.fixture
def lag_reader() -> FakeLagReader:
    return FakeLagReader()


class _AppTransport(httpx.BaseTransport):
    """Hands each request to the application, as a server would (starlette's own client wants another httpx)."""

    def __init__(self, app: FastAPI) -> None:
        self._asgi = httpx.ASGITransport(app, raise_app_exceptions=False)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Waits for the whole answer."""
        return anyio.run(self._answer, request)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        response = await self._asgi.handle_async_request(request)
        return httpx.Response(response.status_code, headers=response.headers, content=await response.aread())


def _over(
    store: Store,
    lag_reader: LagReader,
    now: float = NOW,
    services: ServicesReader | None = None,
    incidents: SqlIncidentStore | None = None,
) -> httpx.Client:
    app = create_app(store, lag_reader, lambda: now, services=services, incident_reader=incidents)
    # The transport hands on what is decoded already.
    plain = {"Accept-Encoding": "identity"}
    return httpx.Client(transport=_AppTransport(app), base_url="http://api", headers=plain)


@pytest.fixture
def empty_client(store: SqlStateStore, lag_reader: FakeLagReader) -> Iterator[httpx.Client]:
    with _over(store, lag_reader) as client:
        yield client


@pytest.fixture
def client(seeded: SqlStateStore, lag_reader: FakeLagReader) -> Iterator[httpx.Client]:
    with _over(seeded, lag_reader) as client:
        yield client


@pytest.fixture
def services() -> FakeServices:
    return FakeServices()


@pytest.fixture
def listening_client(
    seeded: SqlStateStore, incidents: SqlIncidentStore, lag_reader: FakeLagReader, services: FakeServices
) -> Iterator[httpx.Client]:
    """A client of an application that hears what the services say, and knows incidents."""
    with _over(seeded, lag_reader, NOW, services, incidents) as client:
        yield client


@pytest.fixture
def client_after(
    seeded: SqlStateStore, lag_reader: FakeLagReader
) -> Callable[[float], AbstractContextManager[httpx.Client]]:
    """A client so many seconds later, with nothing stored since."""
    return lambda seconds: _over(seeded, lag_reader, NOW + seconds)


class BrokenStore:
    """A store that cannot be read."""

    def __init__(self, failure: Exception) -> None:
        self._failure = failure

    @contextmanager
    def reading(self) -> Iterator[StateView]:
        """Fails."""
        raise self._failure
        yield

    def queue_audit(self, scope: Scope, origin: Origin, now: float) -> int:
        """Fails."""
        raise self._failure

    def cancel_audit(self, number: int, now: float) -> bool:
        """Fails."""
        raise self._failure


@pytest.fixture
def broken(lag_reader: FakeLagReader) -> Callable[[Exception], AbstractContextManager[httpx.Client]]:
    """A client of an application whose store fails so."""
    return lambda failure: _over(BrokenStore(failure), lag_reader)
