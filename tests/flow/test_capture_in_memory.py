"""Capture over a warehouse in memory: one table's trouble concerns that table alone, through restarts too."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pyarrow as pa
import pytest
import structlog

from datafingerprint import wire
from datafingerprint.binlog.events import EventType
from datafingerprint.binlog.packets import Events
from datafingerprint.cascades import Cascades
from datafingerprint.column_types import column
from datafingerprint.config import Cdc
from datafingerprint.digests import sums_by_partition
from datafingerprint.epochs import Epoch, SourcePosition
from datafingerprint.errors import DecodeError, SourceError, Stop, TableDeniedError, TableError
from datafingerprint.fingerprint import ZERO, Fingerprint
from datafingerprint.ledger import SumKey, apply_changes
from datafingerprint.partitions import partitioning
from datafingerprint.ports.source import SnapshotRows, Survey, UnreadTable, Visibility
from datafingerprint.ports.stream import EpochDraft
from datafingerprint.schema import TableSchema
from datafingerprint.stored_programs import StoredProgram
from services.cdc.capture import Capture
from services.cdc.snapshot_groups import TABLES_MAX
from tests.datafingerprint.binlog import logged
from tests.flow.memory import Broker, MemoryEpochLog, MemoryEpochReader

HEARTBEAT = logged.event(int(EventType.HEARTBEAT), b"log.1")
Condition = Callable[[Epoch], bool]
Step = tuple[Condition, Callable[[], object]]


def definition(name: str) -> TableSchema:
    columns = tuple(column(letter, "int(11)", nullable=letter != "a", charset=None) for letter in "abc")
    return TableSchema("ootp", name, columns, ("a",))


@dataclass
class View:
    """Rows as they were at a moment."""

    position: SourcePosition
    rows: Mapping[str, list[tuple[int, int, int]]]
    spoiled: Collection[str]
    meanwhile: Callable[[], object]

    def close(self) -> None:
        """Nothing is held."""

    def read(self) -> Iterator[SnapshotRows | UnreadTable]:
        for name, rows in self.rows.items():
            self.meanwhile()
            if name in self.spoiled:
                yield UnreadTable(name, DecodeError("a zero date stands in its key"))
            else:
                yield SnapshotRows(name, columns_of(rows), len(rows), last=True)


def columns_of(rows: Sequence[tuple[int, int, int]]) -> pa.Table:
    return pa.Table.from_pylist([dict(zip("abc", row, strict=True)) for row in rows], definition("x").arrow)


@dataclass
class Warehouse:
    """Implements `Source`: a log and the rows that it leads to. Once all of the log was read, the next step runs."""

    stop: threading.Event
    broker: Broker
    rows: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)
    errors: dict[str, Stop] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    spoiled: set[str] = field(default_factory=set)
    log: list[list[tuple[int, bytes]]] = field(default_factory=list)
    made_at: dict[str, int] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    meanwhile: Callable[[], object] = lambda: None
    before_view: Callable[[], object] = lambda: None

    def insert(self, name: str, *numbers: int, bitmap: int = 0b111) -> None:
        new = [(number, 0, 0) for number in numbers]
        self.rows[f"ootp.{name}"] += new
        images = b"".join(b"\0" + struct.pack("<iii", *row) for row in new)
        written = logged.rows(EventType.WRITE_ROWS_V1, len(self.log) + 1, images, bitmap=bitmap)
        self.log.append([logged.query("BEGIN"), logged.table_map(len(self.log) + 1, name), written, logged.XID])

    def define(self, statement: str) -> None:
        self.log.append([logged.query(statement)])

    def create(self, name: str, *numbers: int) -> None:
        self.rows[f"ootp.{name}"] = []
        self.define(f"CREATE TABLE {name} (a INT PRIMARY KEY, b INT, c INT)")
        self.made_at[f"ootp.{name}"] = len(self.log)
        if numbers:
            self.insert(name, *numbers)

    def preflight(self) -> None:
        """It is supported."""

    def cascades(self) -> Cascades:
        return Cascades()

    def stored_programs(self) -> Sequence[StoredProgram]:
        return []

    def is_captured(self, table: str) -> bool:
        return table.startswith("ootp.")

    def survey(self, names: Collection[str] | None = None) -> Survey:
        seen = [name for name in self.rows if name not in self.hidden and (names is None or name in names)]
        unfit = {name: self.errors[name] for name in seen if name in self.errors}
        return Survey({name: definition(name[5:]) for name in seen if name not in unfit}, unfit)

    def visibility(self, table: str) -> Visibility:
        if table in self.hidden:
            return Visibility.DENIED
        return Visibility.THERE if table in self.rows else Visibility.GONE

    def denied(self, table: str) -> TableError:
        return TableDeniedError(table, "may not be read", remedy="GRANT")

    @property
    def position(self) -> SourcePosition:
        return SourcePosition(f"0-7-{len(self.log)}", "log.1", 100 * len(self.log), logged.SERVER)

    def snapshot(self, tables: Sequence[TableSchema], _partitions: Mapping[str, str] | None = None) -> View:
        self.before_view()
        rows = {table.table: list(self.rows[table.table]) for table in tables}
        return View(self.position, rows, set(self.spoiled), self.meanwhile)

    def events(self, position: SourcePosition) -> Iterator[Events]:
        at = int(position.gtid.rpartition("-")[2])
        while True:
            while at < len(self.log):
                at += 1
                gtid = logged.gtid_of_mariadb(at, flags=0 if len(self.log[at - 1]) > 1 else 1)
                events = [gtid, *self.log[at - 1]]
                yield Events.of(*(logged.event(kind, body, 100 * at) for kind, body in events))
            self._go_on()
            yield Events.of(HEARTBEAT)

    def _go_on(self) -> None:
        last = wire.decode_epoch(self.broker.epochs[-1], "memory")
        is_read = int(last.position.gtid.rpartition("-")[2]) == len(self.log)
        if self.steps and is_read and self.steps[0][0](last):
            self.steps.pop(0)[1]()


class Log(MemoryEpochLog):
    """Implements `EpochLog`."""

    def open(self) -> Epoch | None:
        epochs = self._broker.epochs
        return wire.decode_epoch(epochs[-1], "memory") if epochs else None

    def definitions(self) -> Mapping[int, TableSchema]:
        return self._broker.definitions


class NoRequests:
    """Implements `Requests`."""

    def waiting(self, _offset: int) -> list[object]:
        return []


class Clock:
    """Advances whenever it is read."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 0.2
        return self.now


def captured(warehouse: Warehouse, *steps: Step) -> Epoch:
    """Runs a capture until all steps have run. Returns the last epoch."""
    warehouse.stop.clear()
    warehouse.steps = [*steps, (lambda _: True, warehouse.stop.set)]
    settings = Cdc(epoch_s=0.5, heartbeat_s=1.0, retry_s=3.0)
    log = structlog.get_logger()
    capture = Capture(warehouse, Log(warehouse.broker), NoRequests(), settings, log, clock=Clock())  # type: ignore[arg-type]
    running = threading.Thread(target=capture.run, args=(warehouse.stop,), daemon=True)
    running.start()
    running.join(20)
    assert not running.is_alive(), [condition for condition, _ in warehouse.steps]
    require_every_table_named(warehouse)
    return epochs_of(warehouse)[-1]


def epochs_of(warehouse: Warehouse) -> list[Epoch]:
    return [wire.decode_epoch(record, "memory") for record in warehouse.broker.epochs]


def require_every_table_named(warehouse: Warehouse) -> None:
    """Each epoch after a table's CREATE names it: defined, set aside, or awaiting its snapshot."""
    for epoch in epochs_of(warehouse):
        number = int(epoch.position.gtid.rpartition("-")[2])
        made = {name for name, at in warehouse.made_at.items() if at <= number and name in warehouse.rows}
        assert made <= {*epoch.versions, *epoch.set_aside, *epoch.awaiting_snapshot}, epoch


def new_warehouse() -> Warehouse:
    return Warehouse(threading.Event(), Broker())


def is_followed(*names: str) -> Condition:
    """Whether these tables are complete and not set aside."""

    def holds(epoch: Epoch) -> bool:
        cursors = [epoch.snapshots.get(f"ootp.{name}") for name in names]
        return all(cursor is not None and cursor.complete for cursor in cursors) and not any(
            f"ootp.{name}" in epoch.set_aside for name in names
        )

    return holds


def is_aside(name: str, why: str = "") -> Condition:
    return lambda epoch: why in epoch.set_aside.get(f"ootp.{name}", "") and f"ootp.{name}" in epoch.set_aside


def streamed(warehouse: Warehouse, name: str) -> Fingerprint:
    """The sum of what was published of a table."""
    reader, sums = MemoryEpochReader(warehouse.broker), dict[SumKey, Fingerprint]()
    reader.seek(0, None)
    while (rows := reader.read(0.0)) is not None:
        for partition, changes in rows.changes:
            sums |= apply_changes(sums, partition, changes)
    return sum((value for key, value in sums.items() if key.table == f"ootp.{name}"), ZERO)


def require_equal(warehouse: Warehouse, *names: str) -> None:
    for name in names:
        table = definition(name)
        rows = columns_of(warehouse.rows[table.table])
        there = sum(sums_by_partition(rows, table.columns, partitioning(table)).values(), ZERO)
        assert streamed(warehouse, name) == there, name


def test_a_stream_begins_without_a_table_and_takes_the_first_one_that_comes() -> None:
    warehouse = new_warehouse()
    last = captured(
        warehouse,
        (lambda epoch: not epoch.versions, lambda: warehouse.create("first", 1, 2)),
        (is_followed("first"), lambda: warehouse.insert("first", 3)),
    )
    assert list(last.versions) == ["ootp.first"]
    require_equal(warehouse, "first")


def test_a_new_table_awaits_its_snapshot_from_the_first_epoch_that_covers_it() -> None:
    warehouse = new_warehouse()
    warehouse.create("good", 1)

    def recreate() -> None:
        warehouse.define("DROP TABLE late")
        warehouse.create("late", 5)

    captured(
        warehouse,
        (is_followed("good"), lambda: warehouse.create("late", 1, 2)),
        (is_followed("good", "late"), lambda: warehouse.insert("late", 3)),
    )
    first = [("ootp.late" in epoch.awaiting_snapshot, "ootp.late" in epoch.versions) for epoch in epochs_of(warehouse)]
    assert first == sorted(first, key=lambda state: (state[1], state[0]))  # absent, then awaiting, then defined
    assert (True, False) in first
    known = len(first)
    captured(warehouse, (is_followed("good", "late"), recreate), (is_followed("good", "late"), lambda: None))
    again = [epoch for epoch in epochs_of(warehouse)[known:] if epoch.awaiting_snapshot]
    assert {epoch.doubt("ootp.late") for epoch in again} == {"its snapshot has not begun"}
    require_equal(warehouse, "good", "late")


def test_a_table_that_is_made_between_the_first_look_and_the_first_view_is_not_missed() -> None:
    warehouse = new_warehouse()
    warehouse.create("good", 1)

    def create_once() -> None:
        if "ootp.between" not in warehouse.rows:
            warehouse.create("between", 1)

    warehouse.before_view = create_once
    captured(warehouse, (is_followed("good", "between"), lambda: warehouse.insert("good", 2)))
    require_equal(warehouse, "good", "between")


def test_a_table_that_is_made_while_another_is_read_does_not_have_that_one_read_again() -> None:
    warehouse = new_warehouse()
    warehouse.create("good", 1)
    resets = iter([lambda: warehouse.create("newer", 7)])

    def meanwhile() -> None:
        if "ootp.late" in warehouse.rows:
            next(resets, lambda: None)()

    warehouse.meanwhile = meanwhile
    last = captured(
        warehouse,
        (is_followed("good"), lambda: warehouse.create("late", 1, 2)),
        (is_followed("good", "late", "newer"), lambda: warehouse.insert("newer", 8)),
    )
    assert set(last.versions) == {"ootp.good", "ootp.late", "ootp.newer"}
    require_equal(warehouse, "good", "late", "newer")


def test_an_unsupported_table_is_made_and_fixed_while_the_good_one_is_followed() -> None:
    warehouse = new_warehouse()
    warehouse.create("good", 1)

    def spoil() -> None:
        warehouse.create("bad", 1)
        warehouse.errors["ootp.bad"] = SourceError("it is in MyISAM")
        warehouse.insert("good", 2)

    def fix() -> None:
        warehouse.errors.clear()
        warehouse.define("ALTER TABLE bad ENGINE=InnoDB")
        warehouse.insert("bad", 2)
        warehouse.insert("good", 3)

    last = captured(
        warehouse,
        (is_followed("good"), spoil),
        (is_aside("bad", "it is in MyISAM"), lambda: warehouse.insert("good", 9)),
    )
    assert last.set_aside == {"ootp.bad": "it is in MyISAM"}
    require_equal(warehouse, "good")
    captured(warehouse, (is_aside("bad"), fix), (is_followed("good", "bad"), lambda: warehouse.insert("bad", 3)))
    require_equal(warehouse, "good", "bad")


def test_a_row_that_cannot_be_read_sets_its_table_aside_until_something_happened_to_it() -> None:
    warehouse = new_warehouse()
    warehouse.create("good", 1)
    warehouse.create("bad", 1)
    warehouse.spoiled.add("ootp.bad")

    def fix() -> None:
        warehouse.spoiled.clear()
        warehouse.insert("bad", 2)

    captured(
        warehouse,
        (is_aside("bad", "zero date"), lambda: warehouse.insert("good", 2)),
        (is_aside("bad"), fix),
        (is_followed("good", "bad"), lambda: warehouse.insert("bad", 3)),
    )
    require_equal(warehouse, "good", "bad")


def test_an_image_that_lacks_columns_has_its_table_read_again() -> None:
    warehouse = new_warehouse()
    warehouse.create("good", 1)
    warehouse.create("bad", 1)
    captured(
        warehouse,
        (is_followed("good", "bad"), lambda: warehouse.insert("bad", 2, bitmap=0b011)),
        (is_aside("bad", "lacks columns"), lambda: warehouse.insert("good", 2)),
        (is_followed("good", "bad"), lambda: warehouse.insert("bad", 3)),
    )
    require_equal(warehouse, "good", "bad")


def test_a_table_that_cannot_be_followed_through_a_statement_is_read_again() -> None:
    warehouse = new_warehouse()
    warehouse.create("good", 1)
    warehouse.create("altered", 1)

    def alter() -> None:
        warehouse.rows["ootp.altered"] = [(number, 5, 5) for number in (1, 2)]
        warehouse.define("ALTER TABLE altered MODIFY b INT NOT NULL DEFAULT 5")
        warehouse.insert("altered", 3)
        warehouse.insert("good", 2)

    last = captured(
        warehouse,
        (is_followed("good", "altered"), alter),
        (is_followed("good", "altered"), lambda: warehouse.insert("altered", 4)),
    )
    assert not last.set_aside
    require_equal(warehouse, "good", "altered")


def test_a_table_that_may_not_be_read_comes_after_the_grant_and_leaves_when_it_is_dropped() -> None:
    warehouse = new_warehouse()
    warehouse.create("good", 1)

    def hide() -> None:
        warehouse.hidden |= {"ootp.secret", "ootp.other"}
        warehouse.create("secret", 1)
        warehouse.create("other", 1)

    def drop() -> None:
        del warehouse.rows["ootp.other"]
        warehouse.hidden.discard("ootp.other")
        warehouse.define("DROP TABLE other")

    last = captured(
        warehouse,
        (is_followed("good"), hide),
        (is_aside("other", "may not be read: GRANT"), lambda: warehouse.hidden.discard("ootp.secret")),
        (is_followed("good", "secret"), drop),
        (lambda epoch: not epoch.set_aside, lambda: warehouse.insert("secret", 2)),
    )
    assert set(last.versions) == {"ootp.good", "ootp.secret"}
    require_equal(warehouse, "good", "secret")


def test_tables_that_are_dropped_leave_and_come_back_when_they_are_made_again_through_a_restart() -> None:
    warehouse = new_warehouse()
    warehouse.create("players", 1)
    warehouse.create("notes", 1)

    def drop() -> None:
        warehouse.rows.clear()
        warehouse.define("DROP TABLE notes, players")

    last = captured(
        warehouse, (is_followed("players", "notes"), drop), (lambda epoch: not epoch.versions, lambda: None)
    )
    assert (last.snapshots, last.set_aside) == ({}, {})
    captured(
        warehouse,
        (lambda _: True, lambda: warehouse.create("players")),
        (is_followed("players"), lambda: warehouse.insert("players", 5)),
    )
    captured(
        warehouse,
        (lambda _: True, lambda: warehouse.insert("players", 6)),
        (is_followed("players"), lambda: warehouse.create("notes")),
        (is_followed("players", "notes"), lambda: warehouse.insert("notes", 7)),
    )
    require_equal(warehouse, "players", "notes")
    # The epoch that first names a definition resets the table: no reader applies it to rows of the former one.
    for before, after in pairwise(epochs_of(warehouse)):
        new = {name for name, version in after.versions.items() if before.versions.get(name) != version}
        assert new <= after.ranges.keys()


def stopping(warehouse: Warehouse) -> Capture:
    """A capture that an ALTER stops."""
    log, cdc, structured = Log(warehouse.broker), Cdc(epoch_s=0.5, heartbeat_s=1.0), structlog.get_logger()
    return Capture(warehouse, log, NoRequests(), cdc, structured, stops_at_alter=True, clock=Clock())  # type: ignore[arg-type]


def run_until_alter(warehouse: Warehouse, *steps: Step) -> str:
    """Runs a capture until an ALTER stops it. Returns its remedy."""
    warehouse.stop.clear()
    warehouse.steps = [*steps, (lambda _: True, warehouse.stop.set)]
    with pytest.raises(DecodeError, match=r"an ALTER changes a captured table.*\(ootp\.players\)") as error:
        stopping(warehouse).run(warehouse.stop)
    return error.value.remedy


@pytest.mark.parametrize("follows", [True, False])
def test_an_alter_stops_capture_where_the_settings_say_so_and_either_remedy_goes_on(follows: bool) -> None:
    warehouse = new_warehouse()
    warehouse.create("players", 1)
    warehouse.create("notes", 1)

    def alter() -> None:
        warehouse.define("ALTER TABLE players ADD INDEX (b), COMMENT 'neutral'")
        warehouse.define("ALTER TABLE unknown DROP d")
        warehouse.insert("players", 2)
        warehouse.insert("notes", 2)
        warehouse.define("ALTER TABLE players DROP d")
        warehouse.insert("players", 3)

    remedy = run_until_alter(warehouse, (is_followed("players", "notes"), alter))
    before = len(warehouse.log) - 2
    assert epochs_of(warehouse)[-1].position.gtid == f"0-7-{before}"
    assert {streamed(warehouse, name).rows for name in ("players", "notes")} == {2}
    published = len(warehouse.broker.epochs)
    assert run_until_alter(warehouse) == remedy
    assert len(warehouse.broker.epochs) == published
    assert 'on_alter = "follow"' in remedy
    assert remedy.endswith("datafingerprint capture --resnapshot ootp.players --once")

    if follows:
        captured(warehouse, (is_followed("players", "notes"), lambda: warehouse.insert("players", 4)))
    else:
        warehouse.stop.clear()
        warehouse.steps = []
        stopping(warehouse).run(warehouse.stop, {"ootp.players": None}, once=True)
        warehouse.steps = [
            (is_followed("players", "notes"), lambda: warehouse.insert("players", 4)),
            (lambda _: True, warehouse.stop.set),
        ]
        stopping(warehouse).run(warehouse.stop)
    require_equal(warehouse, "players", "notes")
    assert streamed(warehouse, "players").rows == 4


class KilledLog(Log):
    """An epoch log whose process is killed before an epoch is published."""

    def __init__(self, broker: Broker, killed_at: int) -> None:
        super().__init__(broker)
        self._killed_at = killed_at

    def publish(self, draft: EpochDraft) -> Epoch:
        if draft.number == self._killed_at:
            raise SourceError("killed")
        return super().publish(draft)


@pytest.mark.parametrize("killed_at", [2, 3, 5])
def test_many_tables_are_read_in_a_few_epochs_of_bounded_size_also_when_it_is_killed_between_them(
    killed_at: int,
) -> None:
    warehouse = new_warehouse()
    names = [f"t{number:03}" for number in range(250)]
    for name in names:
        warehouse.create(name, 1, 2)
    log = KilledLog(warehouse.broker, killed_at)
    first = Capture(warehouse, log, NoRequests(), Cdc(), structlog.get_logger(), clock=Clock())  # type: ignore[arg-type]
    with pytest.raises(SourceError, match="killed"):
        first.run(threading.Event())
    captured(warehouse, (is_followed(*names), lambda: warehouse.insert("t007", 3)))
    epochs = [wire.decode_epoch(octets, "memory") for octets in warehouse.broker.epochs]
    assert max(len(item.ranges) for item in epochs) <= TABLES_MAX
    # Those of two snapshots: three of resets and three of rows each, and the inserted row. Others are heartbeats.
    assert len([epoch for epoch in epochs if epoch.ranges]) <= 13
    require_equal(warehouse, "t000", "t007", "t150", "t249")
