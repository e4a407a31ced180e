"""One transaction of 300,000 rows passes all services with small limits, and a kill in the middle of each of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.flow.running import Flow

pytestmark = pytest.mark.live

ROWS = 300_000
SMALL = {
    "DFP_CDC_SPILL_BYTES": "1000000",
    "DFP_CDC_EPOCH_ROWS": "20000",
    "DFP_LAKE_SPILL_ROWS": "40000",
    "DFP_LAKE_FILE_ROWS_MAX": "100000",
}
"""A twentieth of the transaction and less; every step is taken several times."""

DIGITS = f"(SELECT 0 d {' '.join(f'UNION SELECT {digit}' for digit in range(1, 10))})"
NUMBERS = f"""
    SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d + 10000 * f.d + 100000 * g.d AS n
    FROM {DIGITS} a, {DIGITS} b, {DIGITS} c, {DIGITS} e, {DIGITS} f, {DIGITS} g WHERE g.d < 3
"""
WITHIN_S = 400.0


def kill_at(flow: Flow, name: str, saying: str, times: int) -> None:
    """Kill -9 as soon as a service has said something so often, and starts it again."""
    service = flow.service(name)
    service.await_saying(saying, times=times, within_s=WITHIN_S)
    service.kill()
    service.start(**SMALL)


def settle(flow: Flow) -> None:
    gtid = flow.source_gtid
    flow.await_that(f"judged at {gtid}", lambda: flow.judged_gtid() == gtid, within_s=WITHIN_S)
    flow.assert_all_match()


def test_a_large_transaction_survives_a_kill_of_every_service_on_its_way(small_flow: Flow) -> None:
    flow = small_flow
    flow.sql(
        f"CREATE TABLE {flow.schema}.wide (id INT PRIMARY KEY, league_id INT NOT NULL, name VARCHAR(50), "
        "price DECIMAL(12,2), born DATE)"
    )
    for name in ("cdc", "lake_writer", "fingerprinter"):
        flow.service(name).start(**SMALL)
    flow.settle()

    flow.sql(
        f"INSERT INTO {flow.schema}.wide SELECT n, n MOD 3, CONCAT('player ', n), n / 100, "
        f"DATE('2031-04-01') + INTERVAL n MOD 180 DAY FROM ({NUMBERS}) numbers"
    )
    kill_at(flow, "cdc", "rows published ahead of their epoch", 5)
    flow.service("cdc").await_saying(f"rows={ROWS}", within_s=WITHIN_S)
    # Now the others read it, which takes them seconds.
    kill_at(flow, "fingerprinter", "event=fingerprinting", 1)
    kill_at(flow, "lake_writer", "written in pieces", 1)
    settle(flow)

    flow.sql(f"UPDATE {flow.schema}.wide SET league_id = 3, name = CONCAT(name, '!') WHERE id MOD 3 = 0")
    kill_at(flow, "lake_writer", "written in pieces", 3)
    settle(flow)
    flow.assert_equal()

    flow.sql(f"DELETE FROM {flow.schema}.wide WHERE id >= 1000")
    settle(flow)


FEW, MANY = 50_000, 250_000
SMALLER = SMALL | {"DFP_CDC_EPOCH_ROWS": "10000", "DFP_LAKE_SPILL_ROWS": "10000", "DFP_LAKE_FILE_ROWS_MAX": "20000"}
"""So small that the few rows come to every limit too: what the many take more is then not a limit not yet reached."""
MORE_MIB = 64
"""What five times the rows may take more: before rows were spilled it was 100 MiB and more in each service."""


def forget_peaks(flow: Flow) -> None:
    for service in flow.services.values():
        Path(f"/proc/{service.child.pid}/clear_refs").write_text("5", encoding="ascii")


def peaks(flow: Flow) -> dict[str, int]:
    """The most memory of each service that was resident since `forget_peaks`, in MiB."""
    result = {}
    for name, service in flow.services.items():
        status = Path(f"/proc/{service.child.pid}/status").read_text(encoding="ascii")
        result[name] = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) >> 10
    return result


def test_no_service_takes_more_memory_for_a_transaction_of_five_times_the_rows(small_flow: Flow) -> None:
    flow = small_flow
    flow.sql(f"CREATE TABLE {flow.schema}.wide (id INT PRIMARY KEY, name VARCHAR(50), story VARCHAR(300))")
    for name in ("cdc", "lake_writer", "fingerprinter"):
        flow.service(name).start(**SMALLER)
    flow.settle()
    filling = (
        f"INSERT INTO {{0}}.wide SELECT n, CONCAT('player ', n), REPEAT(CHAR(97 + n MOD 26), 200) "
        f"FROM ({NUMBERS}) numbers WHERE n BETWEEN {{1}} AND {{2}}"
    )

    seen = []
    for first, last in ((0, FEW - 1), (FEW, FEW + MANY - 1)):
        forget_peaks(flow)
        # Behind two smaller ones, which the lake writer may still hold when it comes.
        for begin, end in ((first, first + 9_999), (first + 10_000, first + 19_999), (first + 20_000, last)):
            flow.sql(filling.format(flow.schema, begin, end))
        settle(flow)
        flow.sql(f"DELETE FROM {flow.schema}.wide")
        settle(flow)
        seen.append(peaks(flow))

    few, many = seen
    assert {name: many[name] for name in many if many[name] > few[name] + MORE_MIB} == {}, f"{few} grew to {many}"
