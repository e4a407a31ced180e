"""The native digests where rows are long, many, sliced, or of a type that they do not know."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datafingerprint import digests
from datafingerprint.fingerprint import Fingerprint, of_digests
from datafingerprint.native.library import Library
from datafingerprint.partitions import Partitioning, partitioning
from datafingerprint.schema import Column, Kind, TableSchema

TEXT = Column("t", "longtext", Kind.TEXT)
BYTES = Column("b", "longblob", Kind.BYTES)
NUMBER = Column("n", "bigint", Kind.INTEGER, width_bytes=8)


def written(values: list[bytes | None]) -> list[bytes]:
    """The digests of rows of one BLOB, by the definition of the format."""
    texts = [b"" if value is None else b"b=" + value.hex().encode() for value in values]
    return [hashlib.md5(text, usedforsecurity=False).digest() for text in texts]


def native(rows: pa.Table, columns: tuple[Column, ...]) -> list[str]:
    identities = digests.native_identities(rows, columns)
    assert identities is not None
    return list(identities.to_pylist())


@given(st.lists(st.integers(0, 200), max_size=40))
@settings(max_examples=200, deadline=None)
def test_rows_of_any_lengths_keep_their_own_digests_in_the_lanes(lengths: list[int]) -> None:
    values: list[bytes | None] = [bytes([length]) * length for length in lengths]
    rows = pa.table({"b": pa.array(values, pa.binary())})
    assert native(rows, (BYTES,)) == [digest.hex() for digest in written(values)]


def test_rows_too_long_for_the_lanes_are_digested_among_short_ones() -> None:
    values = [b"a", bytes(3_000_000), None, b"b" * 700_000, b"", *[b"c" * length for length in range(60)]]
    rows = pa.table({"b": pa.array(values, pa.binary())})
    assert native(rows, (BYTES,)) == [digest.hex() for digest in written(values)]
    expected = {"-": of_digests(written(values))}
    assert digests.native_sums(rows, (BYTES,), Partitioning()) == expected


def test_many_rows_in_many_batches_sum_as_duckdb_sums_them() -> None:
    table = TableSchema("s", "t", (NUMBER, TEXT), (), ("n",))
    chance = np.random.default_rng(7)
    count = 3 * digests.ROWS_AT_ONCE + 5
    numbers = pa.array(chance.integers(0, 50, count), mask=chance.random(count) < 0.1)
    texts = pa.array(chance.integers(0, 10**12, count).astype(str), mask=chance.random(count) < 0.1)
    whole = pa.table({"n": numbers, "t": texts})
    cuts = sorted(chance.integers(0, count, 4).tolist())
    rows = pa.concat_tables([whole.slice(a, b - a) for a, b in zip([0, *cuts], [*cuts, count], strict=True)])
    names = partitioning(table)
    sums = digests.native_sums(rows, table.columns, names)
    assert sums == digests.sums_in_duckdb(rows, table.columns, names)
    assert sum(fingerprint.rows for fingerprint in sums.values()) == count
    assert native(rows, table.columns) == digests.identities_in_duckdb(rows, table.columns).to_pylist()


def test_texts_and_bytes_with_long_offsets_are_digested_alike() -> None:
    short = pa.table({"t": pa.array(["é", None, ""]), "b": pa.array([b"\x00", b"", None])})
    long = short.cast(pa.schema([("t", pa.large_string()), ("b", pa.large_binary())]))
    assert native(long, (TEXT, BYTES)) == native(short, (TEXT, BYTES))


def test_a_type_that_the_native_code_does_not_know_is_left_to_duckdb() -> None:
    rows = pa.table({"n": pa.array([1, 2, None], pa.int16())})
    assert digests.native_identities(rows, (NUMBER,)) is None
    assert digests.native_sums(rows, (NUMBER,), Partitioning()) is None
    wide = pa.table({"n": pa.array([1, 2, None], pa.int64())})
    assert digests.identities(rows, (NUMBER,)).to_pylist() == native(wide, (NUMBER,))
    assert digests.sums_by_partition(rows, (NUMBER,), Partitioning()) == digests.native_sums(
        wide, (NUMBER,), Partitioning()
    )


def test_a_file_that_is_no_library_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"missing\.so"):
        Library(tmp_path / "missing.so")
    other = tmp_path / "other.so"
    other.write_bytes(b"not a library")
    with pytest.raises(OSError, match=r"other\.so"):
        Library(other)


def test_no_rows_have_no_sums_and_no_digests() -> None:
    rows = pa.table({"n": pa.array([], pa.int64())})
    assert digests.native_sums(rows, (NUMBER,), Partitioning()) == {}
    assert native(rows, (NUMBER,)) == []
    empty: dict[str, Fingerprint] = digests.sums_by_partition(rows, (NUMBER,), Partitioning())
    assert empty == {}
