"""One transaction of 300,000 rows passes all services with small limits, and a kill in the middle of each of them."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.live

ROWS = 300_000
SMALL = {
    "DFP_CDC_SPILL_OCTETS": "1000000",
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


def kill_at(flow: Any, name: str, saying: str, times: int) -> None:  # noqa: ANN401 - made by tests/flow/conftest.py
    """Kill -9 as soon as a service has said something so often, and starts it again."""
    service = flow.service(name)
    service.await_saying(saying, times=times, within_s=WITHIN_S)
    service.kill()
    service.start(**SMALL)


def settle(flow: Any) -> None:  # noqa: ANN401 - as above
    gtid = flow.source_gtid
    flow.await_that(f"judged at {gtid}", lambda: flow.judged_gtid() == gtid, within_s=WITHIN_S)
    flow.assert_all_match()


def test_a_large_transaction_survives_a_kill_of_every_service_on_its_way(small_flow: Any) -> None:  # noqa: ANN401 - as above
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
