"""On PostgreSQL the state store's writers come one after another; a server that is away is no server that refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from functools import partial

import pytest

from datafingerprint.adapters.state.engine import POSTGRES_IDLE_S
from datafingerprint.adapters.state.incidents import SqlIncidentStore
from datafingerprint.adapters.state.scans import SqlScanStore
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.adapters.state.tokens import SqlTokenStore
from datafingerprint.audits import Origin, Scope
from datafingerprint.epochs import Epoch, SnapshotCursor, SourcePosition
from datafingerprint.errors import ConfigError, StateError, Unavailable
from datafingerprint.fingerprint import MODULUS, Fingerprint
from datafingerprint.flow import FlowState
from datafingerprint.ledger import Advance, FileSums, LakeTableState, Progress
from datafingerprint.ports.tokens import Action
from datafingerprint.scans import Scan
from datafingerprint.tokens import Role, digest, holder, new_token
from deploy.embedded.ports import free_ports
from deploy.embedded.waiting import await_condition
from tests.databases import by_hand
from tests.postgres_server import PostgresServer, programs, started

pytestmark = pytest.mark.live

AT_ONCE = 6
LAKE = LakeTableState("ootp.games", 7, 3, is_foreign=False, unreadable="")
BIG = Fingerprint(1, MODULUS - 1, MODULUS // 2)


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
def store(url: str) -> Iterator[SqlStateStore]:
    with closing(SqlStateStore(url)) as opened:
        yield opened


def at_once(url: str, work: Callable[[SqlStateStore], object]) -> list[object]:
    """What so many processes get that begin at the same moment."""
    ready = threading.Barrier(AT_ONCE)

    def run(own: SqlStateStore) -> object:
        own.progress()
        ready.wait(30)
        return work(own)

    with ExitStack() as opened, ThreadPoolExecutor(AT_ONCE) as pool:
        stores = [opened.enter_context(closing(SqlStateStore(url))) for _ in range(AT_ONCE)]
        return list(pool.map(run, stores))


def test_tokens_actions_and_the_flow_are_kept_there_too(url: str, store: SqlStateStore) -> None:
    action = Action(1.0, "night", "operator", "127.0.0.1", "POST", "/v1/audits", "{}")
    with closing(SqlTokenStore(url)) as tokens, closing(SqlIncidentStore(url)) as incidents:
        secret, token = new_token("night", Role.OPERATOR, 1.0, 10.0)
        assert [tokens.create(token, action), tokens.create(token, action)] == [True, False]
        assert list(tokens.tokens()) == [token]
        assert holder(digest(secret), tokens.tokens()) == token
        tokens.end(tokens.begin(action), 202)
        assert [tokens.revoke("night", action), tokens.revoke("night", action)] == [True, False]
        assert [(item.number, item.status) for item in tokens.actions(limit=9)] == [(3, None), (2, 202), (1, None)]
        assert incidents.flow() == FlowState()
        snapshots = {"s.a": SnapshotCursor(40, 100, complete=False)}
        record = Epoch("stream", 1, SourcePosition("", "f", 1), 5.0, snapshots=snapshots)
        store.advance(Progress(), Advance(Progress("stream", 1, 1), [record], [], {}))
        flow = incidents.flow()
        assert (dict(flow.snapshots), flow.progressed_at is not None) == ({"s.a": 40}, True)


def asked_for(table: str, store: SqlStateStore) -> int:
    return store.queue_audit(Scope(table), Origin.REQUEST, 1.0)


def test_an_audit_that_several_ask_for_at_once_is_queued_once(url: str) -> None:
    for turn in range(5):
        numbers = at_once(url, partial(asked_for, f"s.t{turn}"))
        assert len(set(numbers)) == 1


def test_the_same_files_saved_by_several_at_once_count_once(url: str, store: SqlStateStore) -> None:
    files = [FileSums(f"file {number}", "etag", 1, {"-": BIG}, 7.0) for number in range(50)]
    at_once(url, lambda own: own.save_lake(LAKE, files, []))
    assert store.lake_sums("ootp.games")["-"].rows == 50


def test_a_writer_waits_for_the_other_one_and_not_for_ever(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datafingerprint.adapters.state.engine.BUSY_TIMEOUT_MS", 50)
    with closing(SqlStateStore(url)) as first, closing(SqlStateStore(url)) as other:
        other.progress()
        with first._transaction(), pytest.raises(Unavailable, match="lock timeout"):
            other.queue_audit(Scope(), Origin.REQUEST, 1.0)
        other.queue_audit(Scope(), Origin.REQUEST, 1.0)


def test_a_writer_that_says_nothing_any_more_is_ended_and_the_others_go_on(url: str) -> None:
    with closing(SqlStateStore(url)) as silent, closing(SqlStateStore(url)) as other:
        other.progress()
        with pytest.raises(Unavailable, match="idle-in-transaction"):
            waited_for(silent, other)


def waited_for(silent: SqlStateStore, other: SqlStateStore) -> None:
    """One writes while the other one's transaction is open, and this one goes on then."""
    with silent._transaction() as connection:
        limit = connection.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one()
        assert limit == f"{POSTGRES_IDLE_S // 60}min"
        # The same limit, shorter, in this transaction alone: no other step may reach it on a busy machine.
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 200")
        other.queue_audit(Scope(), Origin.REQUEST, 1.0)
        connection.exec_driver_sql("SELECT 1")


def test_what_is_read_of_scans_waits_for_no_writer(url: str, store: SqlStateStore) -> None:
    with closing(SqlScanStore(url)) as scans:
        begun = scans.begin(Scan(0, "trino", "s.t", None, 7, 5, 100.0), running_max=1)
    with store._transaction(), closing(SqlScanStore(url)) as fresh:
        assert [scan.number for scan in fresh.scans(limit=9)] == [begun.number]


def test_what_is_stored_is_durable_where_the_server_commits_without_waiting(url: str, store: SqlStateStore) -> None:
    store.progress()
    name = url.rpartition("/")[2]
    with by_hand(url) as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    with closing(SqlStateStore(url)) as fresh, fresh._transaction() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"


def test_texts_of_every_script_come_back_from_a_database_that_knows_none(postgres: PostgresServer) -> None:
    url = postgres.new_database("ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    with closing(SqlStateStore(url)) as store:
        store.save_lake(LAKE, [FileSums("Zoë/東", "etag", 1, {"a=Ω": BIG}, 7.0)], [])
        assert store.lake_sums("ootp.games") == {"a=Ω": BIG}
        assert list(store.files("ootp.games")) == ["Zoë/東"]


def test_no_statement_is_prepared_that_a_pooler_would_not_find_again(store: SqlStateStore) -> None:
    for _ in range(12):
        store.progress()
    with store.reading() as view:
        count = view._connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar_one()
    assert count == 0


def test_it_goes_on_where_it_was_when_the_server_has_crashed_and_is_back() -> None:
    result = programs()
    if result is None:
        pytest.skip("NOT RUN: the state store in a PostgreSQL, for none is installed")
    with started(result) as server, closing(SqlStateStore(server.new_database())) as store:
        store.advance(Progress(), Advance(Progress("s", 1, 2), [], [], {}))
        server.stop("immediate")
        with pytest.raises(Unavailable):
            store.progress()
        server.start()
        assert await_condition(lambda: store.progress() == Progress("s", 1, 2), timeout_s=30)


def test_who_may_not_log_in_is_refused(postgres: PostgresServer, url: str) -> None:
    name = url.rpartition("/")[2]
    for wrong, said in (
        (postgres.url(name, password="other"), "authentication failed"),
        (postgres.url("nowhere"), "does not exist"),
    ):
        with closing(SqlStateStore(wrong)) as store, pytest.raises(StateError, match=said) as raised:
            store.progress()
        assert "other" not in str(raised.value).replace("another", "")


def test_a_user_who_may_not_write_is_refused(postgres: PostgresServer, url: str, store: SqlStateStore) -> None:
    store.progress()
    name = url.rpartition("/")[2]
    postgres.psql("CREATE ROLE reader LOGIN PASSWORD 'secret'")
    postgres.psql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader", name)
    with closing(SqlStateStore(postgres.url(name, user="reader"))) as reader:
        assert reader.progress() == Progress()
        with pytest.raises(StateError, match="permission denied"):
            reader.queue_audit(Scope(), Origin.REQUEST, 1.0)


def test_a_server_that_is_not_there_is_away() -> None:
    (port,) = free_ports(1)
    url = f"postgresql://u:secret@127.0.0.1:{port}/d?passfile=hidden"
    with closing(SqlStateStore(url)) as store, pytest.raises(Unavailable) as raised:
        store.progress()
    assert str(raised.value).endswith(f" at postgresql+psycopg://u:***@127.0.0.1:{port}/d")


def test_another_driver_than_the_one_that_is_tried_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"postgresql\+psycopg2"):
        SqlStateStore("postgresql+psycopg2://u:secret@h/d")
