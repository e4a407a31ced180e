"""What the last line of a stopped service says is followed to the letter, and everything matches afterwards."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from kafka import KafkaProducer

from datafingerprint.config import environment_names, load_settings
from datafingerprint.recovery import START_OVER
from datafingerprint.wire import Topics
from deploy.embedded.waiting import await_condition
from tests.flow.running import Flow, Service

pytestmark = pytest.mark.live

STOPPED = 2


@pytest.fixture
def flow(small_flow: Flow) -> Flow:
    small_flow.environment |= {"DFP_CDC_EPOCH_S": "0.3", "DFP_CDC_HEARTBEAT_S": "1", "DFP_LAKE_FLUSH_S": "0.3"}
    small_flow.start()
    require_agreement(small_flow)
    return small_flow


def require_agreement(flow: Flow) -> None:
    flow.settle()
    flow.await_that("all partitions match", lambda: bool(flow.verdicts()) and not flow.mismatches())
    flow.assert_all_match()
    flow.assert_equal()


def stopped_line(service: Service) -> str:
    assert service.wait(60) == STOPPED
    assert "Traceback" not in service.text
    return next(line for line in reversed(service.text.splitlines()) if "event=stopped" in line)


def test_statements_that_mend_the_sources_settings_are_run_as_they_are_printed(small_flow: Flow) -> None:
    """One setting after another stops capture, and the statement of its message lets it go on."""
    unfit = {"binlog_row_image": "MINIMAL", "binlog_row_metadata": "MINIMAL", "binlog_format": "MIXED"}
    cdc = small_flow.service("cdc")
    with (
        contextlib.closing(small_flow.stack.blueprint.warehouse.connect_as_administrator()) as root,
        root.cursor() as cursor,
    ):
        before = {}
        for name in unfit:
            cursor.execute(f"SELECT @@GLOBAL.{name}")
            ((before[name],),) = cursor.fetchall()
        try:
            for name, value in unfit.items():
                cursor.execute(f"SET GLOBAL {name} = '{value}'")
            for _ in unfit:
                cdc.start()
                line = stopped_line(cdc)
                statement = re.search(r"SET GLOBAL (\w+) = '?\w+'?", line)
                assert statement is not None, line
                assert statement[1] in unfit
                assert f"the source has {statement[1]} = {unfit[statement[1]]}" in line
                cursor.execute(statement[0])
        finally:
            for name, value in before.items():
                cursor.execute(f"SET GLOBAL {name} = '{value}'")
    small_flow.start()
    require_agreement(small_flow)


def test_the_recoveries_of_the_state_store_do_what_they_say(flow: Flow, tmp_path: Path) -> None:
    fingerprinter = flow.service("fingerprinter")
    store = Path(flow.settings.state.url.get_secret_value().removeprefix("sqlite:///"))

    # Damaged: it is deleted by the command of the message, and filled anew.
    fingerprinter.kill()
    octets = store.read_bytes()
    store.write_bytes(octets[:100] + bytes(byte ^ 0x5A for byte in octets[100:]))
    Path(f"{store}-wal").unlink(missing_ok=True)
    fingerprinter.start()
    line = stopped_line(fingerprinter)
    assert "the state store is damaged" in line
    command = re.search(r"rm -f '[^']+' '[^']+-wal' '[^']+-shm'", line)
    assert command is not None, line
    subprocess.run(["/bin/sh", "-c", command[0]], check=True)
    fingerprinter.start()
    flow.await_that("verdicts come again", lambda: bool(flow.verdicts()))
    flow.sql(f"DELETE FROM {flow.schema}.players WHERE player_id = 101")
    require_agreement(flow)

    # Of another stream, while the lake is of the new one: an empty one is all it takes.
    for name in ("cdc", "lake_writer", "fingerprinter"):
        flow.service(name).kill()
    flow.environment |= {
        "DFP_KAFKA_PREFIX": f"{flow.schema}-anew",
        "DFP_LAKE_PATH": f"{flow.schema}-anew",
        "DFP_LAKE_CATALOG": f"sqlite:///{tmp_path}/other-catalog.db",
    }
    flow.start()
    line = stopped_line(fingerprinter)
    assert "name an empty database as [state] url" in line
    flow.environment["DFP_STATE_URL"] = f"sqlite:///{tmp_path}/other-state.db"
    flow.settings = flow.settings.model_copy(
        update={
            "state": type(flow.settings.state)(url=flow.environment["DFP_STATE_URL"]),
            "lake": type(flow.settings.lake)(
                path=flow.environment["DFP_LAKE_PATH"], catalog=flow.environment["DFP_LAKE_CATALOG"]
            ),
        }
    )
    fingerprinter.start()
    require_agreement(flow)


@dataclass(frozen=True, slots=True)
class LastWords:
    """The last line of a stopped service."""

    what: str
    remedy: str

    def named_settings(self) -> set[str]:
        """The variables of all settings that the line names, as `section.field` or `[section] field, field`."""
        text = f"{self.what} {self.remedy}"
        listed = {
            (section, field)
            for section, fields in re.findall(r"\[(\w+)\]((?:(?:,| and| or)? \w+)+)", text)
            for field in re.findall(r"\w+", fields)
        }
        return {
            variable
            for variable, (section, field) in environment_names().items()
            if (section, field) in listed or re.search(rf"\b{section}\.{field}\b", text)
        }


def ended_or_says(service: Service, text: str) -> bool:
    return not service.is_running or service.says(text)


def last_words(service: Service) -> LastWords:
    parts = re.split(r" (what|where|remedy)=", stopped_line(service))
    result = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert result["remedy"], result
    return LastWords(result["what"], result["remedy"])


def run_as_administrator(flow: Flow, statement: str) -> None:
    with (
        contextlib.closing(flow.stack.blueprint.warehouse.connect_as_administrator()) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


UNFIT_SETTINGS: list[tuple[str, dict[str, str], str]] = [
    ("cdc", {"DFP_SOURCE_PASSWORD": "wrong"}, "the source refuses us"),
    ("cdc", {"DFP_SOURCE_SERVER_ID": "1"}, "is the source's own"),
    ("cdc", {"DFP_SOURCE_TABLES": "!other.*"}, "selects no table"),
    ("lake_writer", {"DFP_S3_BUCKET": "no-such-bucket"}, "does not exist"),
    ("lake_writer", {"DFP_S3_SECRET_KEY": "wrong"}, "the store refused"),
    ("lake_writer", {"DFP_S3_ENDPOINT": "127.0.0.1:9"}, "is not a URL"),
    ("lake_writer", {"DFP_LAKE_CATALOG": "oracle+nodriver://host/catalog"}, "cannot be used"),
    ("lake_writer", {"DFP_KAFKA_PREFIX": "other"}, "the epochs topic is empty"),
    ("fingerprinter", {"DFP_KAFKA_PREFIX": "other"}, "the epochs topic holds offsets 0 to 0"),
]
"""Services with wrong settings, and the error of each. `tests/test_setting_remedies.py` has those of one process."""

AT_ONCE = 4
SERVICES = ("cdc", "lake_writer", "fingerprinter")


def names_the_setting(flow: Flow, number: int) -> bool:
    """Runs a service with a wrong setting, which its last line names: then it is put back."""
    name, wrong, error = UNFIT_SETTINGS[number]
    service = flow.service(name, label=f"{name}-{number}")
    service.start(**wrong)
    words = last_words(service)
    assert error in words.what
    return set(wrong) <= words.named_settings()


def restore_lake_path(flow: Flow) -> None:
    """The writer of a lake that is elsewhere stops at the first row that it is to write."""
    writer = flow.service("lake_writer")
    writer.start(DFP_LAKE_PATH="elsewhere")
    words = last_words(writer)
    assert "elsewhere" in words.what
    assert "DFP_LAKE_PATH" in words.named_settings()


def grant_what_is_printed(flow: Flow) -> None:
    """An account that may read the tables gets, one after another, the privileges that capture asks for."""
    account = "'granted'@'127.0.0.1'"
    run_as_administrator(flow, f"CREATE USER {account} IDENTIFIED BY 'granted'")
    run_as_administrator(flow, f"GRANT SELECT ON {flow.schema}.* TO {account}")
    cdc = flow.service("cdc")
    granted: list[str] = []
    flow.sql(f"DELETE FROM {flow.schema}.players WHERE player_id = 105")
    while not cdc.is_running:
        # A grant is logged too: the next epoch ends at the last one.
        wanted = flow.source_gtid
        cdc.start(DFP_SOURCE_USER="granted", DFP_SOURCE_PASSWORD="granted")
        assert await_condition(partial(ended_or_says, cdc, wanted), timeout_s=60.0)
        if not cdc.is_running:
            remedy = last_words(cdc).remedy
            grant = re.match(r"(GRANT [A-Z ]+ ON \*\.\*) TO the account that SELECT CURRENT_USER\(\) shows", remedy)
            assert grant is not None, remedy
            assert grant[1] not in granted
            granted.append(grant[1])
            run_as_administrator(flow, f"{grant[1]} TO {account}")
    assert len(granted) > 1
    restore_lake_path(flow)
    flow.start("lake_writer", "fingerprinter")
    require_agreement(flow)
    cdc.kill()
    run_as_administrator(flow, f"DROP USER {account}")
    cdc.start()


def name_empty_state_store(flow: Flow) -> None:
    fingerprinter = flow.service("fingerprinter")
    fingerprinter.kill()
    file = flow.settings.state.url.get_secret_value().removeprefix("sqlite:///")
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("UPDATE meta SET value = '999'")
        connection.commit()
    fingerprinter.start()
    assert "or name an empty database as state.url" in last_words(fingerprinter).remedy
    use(flow, DFP_STATE_URL=f"sqlite:///{flow.directory}/empty-state.db")
    fingerprinter.start()
    flow.await_that("verdicts come again", lambda: bool(flow.verdicts()))
    require_agreement(flow)


def use(flow: Flow, **variables: str) -> None:
    """Gives the flow other settings."""
    flow.environment |= variables
    ours = {name: value for name, value in flow.environment.items() if name.startswith("DFP_")}
    flow.settings = load_settings({"tables": flow.settings.model_dump()["tables"]}, ours)


def start_over(flow: Flow) -> None:
    """A stray record in the epochs topic stops every service, and all start over as the line says."""
    flow.service("cdc").kill()
    kafka = flow.settings.kafka
    with contextlib.closing(KafkaProducer(bootstrap_servers=kafka.bootstrap)) as producer:
        producer.send(Topics(kafka.prefix).epochs, b"a stray record", partition=0)
        producer.flush(timeout=60)
    flow.service("cdc").start()
    for name in SERVICES:
        words = last_words(flow.service(name))
        assert "a control record is not JSON" in words.what
        assert words.remedy == START_OVER
        wanted = {"DFP_KAFKA_PREFIX", "DFP_LAKE_PATH", "DFP_LAKE_CATALOG", "DFP_STATE_URL"}
        assert words.named_settings() == wanted
    use(
        flow,
        DFP_KAFKA_PREFIX=f"{kafka.prefix}-over",
        DFP_LAKE_PATH=f"{flow.settings.lake.path}-over",
        DFP_LAKE_CATALOG=f"sqlite:///{flow.directory}/over-catalog.db",
        DFP_STATE_URL=f"sqlite:///{flow.directory}/over-state.db",
    )
    flow.start()
    require_agreement(flow)


def test_settings_grants_and_stray_records_are_put_right_as_printed(flow: Flow) -> None:
    """Settings first, then the source's grants, the state store, and last what makes the whole stream useless."""
    for name in SERVICES:
        flow.service(name).kill()
        flow.service(name).process = None
    with ThreadPoolExecutor(AT_ONCE) as pool:
        named = list(pool.map(lambda number: names_the_setting(flow, number), range(len(UNFIT_SETTINGS))))
    assert [case for case, is_named in zip(UNFIT_SETTINGS, named, strict=True) if not is_named] == []
    grant_what_is_printed(flow)
    name_empty_state_store(flow)
    start_over(flow)
