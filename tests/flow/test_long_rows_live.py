"""Rows longer than a message go the whole way, from a snapshot and from the binlog."""

from __future__ import annotations

import random

import pytest

from datafingerprint import wire
from tests.flow.running import Flow

pytestmark = pytest.mark.live


def noise(seed: int, octets: int) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(octets)


def test_rows_longer_than_a_message_reach_the_lake_as_they_are(small_flow: Flow) -> None:
    table = f"{small_flow.schema}.scans"
    octets = 5 * wire.MESSAGE_BYTES_MAX // 2
    small_flow.sql(f"CREATE TABLE {table} (id INT PRIMARY KEY, image LONGBLOB)")
    small_flow.sql(f"INSERT INTO {table} VALUES (1, %s), (2, %s)", (noise(1, octets), b"short"))
    small_flow.start()
    small_flow.settle()
    small_flow.sql(f"UPDATE {table} SET image = %s WHERE id = 2", (noise(2, octets),))
    small_flow.sql(f"INSERT INTO {table} VALUES (3, %s), (4, %s)", (noise(3, octets), b"short"))
    small_flow.settle()
    small_flow.assert_equal()
    small_flow.assert_all_match()
