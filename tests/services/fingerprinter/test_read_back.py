"""What is wrong with a file is a finding; what is wrong with reading it is not held against the file."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.canonical import digest
from datafingerprint.column_types import column
from datafingerprint.errors import ConfigError, FileDamageError, LakeError, Unavailable
from datafingerprint.fingerprint import ZERO, of_digests
from datafingerprint.ledger import FileSums
from datafingerprint.ports.lake import LakeFile
from datafingerprint.schema import TableSchema
from services.fingerprinter.read_back import read_back

TABLE = TableSchema(
    "s",
    "t",
    (
        column("id", "int(11)", nullable=False, charset=None),
        column("note", "text", nullable=True, charset="utf8mb4"),
    ),
    ("id",),
    ("id",),
)
LIVE = LakeFile("s3://bucket/lake/s/t/data/a.parquet", 1, ("id=7",))


def parquet(rows: int) -> bytes:
    """Some of one partition; the notes do not compress, so that many rows make a long file."""
    notes = [f"{number:x}".zfill(8) * 20 for number in range(rows)]
    file = io.BytesIO()
    table = pa.table({"id": pa.array([7] * rows, pa.int32()), "note": notes}).cast(TABLE.arrow)
    pq.write_table(table, file, compression="none", use_dictionary=False, write_page_checksum=True)
    return file.getvalue()


class Objects:
    """A lake of one object."""

    def __init__(self, copy: Callable[[IO[bytes]], object]) -> None:
        self._copy = copy

    def copy(self, _path: str, into: IO[bytes]) -> str:
        self._copy(into)
        return "etag"


def read(copy: Callable[[IO[bytes]], object], scratch: TemporaryScratch) -> FileSums:
    return read_back(Objects(copy), scratch, TABLE, LIVE, 1.0)  # type: ignore[arg-type]  # of the view only `copy` is used


def raising(error: Exception) -> Callable[[IO[bytes]], object]:
    def copy(_into: IO[bytes]) -> object:
        raise error

    return copy


@pytest.mark.parametrize("rows", [3, 20_000])
def test_the_rows_of_a_file_are_summed_short_and_long(rows: int, tmp_path: Path) -> None:
    octets = parquet(rows)
    result = read(lambda into: into.write(octets), TemporaryScratch(str(tmp_path)))
    values = pq.read_table(io.BytesIO(octets)).to_pylist()
    slow = of_digests(digest(value, TABLE.columns) for value in values)
    assert result.sums == {"id=7": slow}
    assert (result.unreadable, result.size_bytes) == ("", len(octets))


@pytest.mark.parametrize(
    ("copy", "why"),
    [
        (raising(FileDamageError("file a is gone")), "file a is gone"),
        (lambda into: into.write(b"no Parquet at all"), "cannot be read as rows"),
        (lambda into: into.write(parquet(20_000)[:-40_000]), "cannot be read as rows"),
        (lambda into: into.write(parquet(20_000).replace(b"00000001", b"00000002", 1)), "cannot be read as rows"),
    ],
    ids=["gone", "no Parquet", "cut off", "a page altered"],
)
def test_a_file_that_is_gone_or_damaged_counts_for_nothing_and_says_why(
    copy: Callable[[IO[bytes]], object], why: str, tmp_path: Path
) -> None:
    rows = read(copy, TemporaryScratch(str(tmp_path)))
    assert why in rows.unreadable
    assert rows.sums == {"id=7": ZERO}


FOREIGN = {
    "two columns of one name": pa.table([[7], [8], ["a"]], names=["id", "id", "born"]),
    "a date of no calendar": pa.table({"id": [7], "born": pa.array([9_000_000], pa.int32()).cast(pa.date32())}),
    "a text that is none": pa.table({"id": [7], "note": pa.array([b"\xff\xfe"])}),
    "a number that is too large": pa.table({"id": [2**40]}),
    "another type": pa.table({"id": [[7]]}),
}


@pytest.mark.parametrize("how", FOREIGN)
def test_whatever_somebody_elses_file_holds_is_a_finding_about_the_file(how: str, tmp_path: Path) -> None:
    born = column("born", "date", nullable=True, charset=None)
    table = replace(TABLE, columns=(*TABLE.columns, born), partition=("year(born)",))
    live = LakeFile(LIVE.path, 1, ("born_year=2031",))

    def copy(into: IO[bytes]) -> object:
        return pq.write_table(FOREIGN[how], into)

    rows = read_back(Objects(copy), TemporaryScratch(str(tmp_path)), table, live, 1.0)  # type: ignore[arg-type]  # as above
    assert "cannot be read as rows of the table" in rows.unreadable
    assert rows.sums == {"born_year=2031": ZERO}


@pytest.mark.parametrize("error", [LakeError("the store refused"), Unavailable("the store is away")])
def test_a_store_that_refuses_or_is_away_is_no_finding_about_the_file(error: Exception, tmp_path: Path) -> None:
    with pytest.raises(type(error), match=str(error)):
        read(raising(error), TemporaryScratch(str(tmp_path)))


def test_a_directory_that_is_lost_is_waited_for_and_is_no_finding_about_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "scratch"
    folder.mkdir()
    scratch = TemporaryScratch(str(folder))
    shutil.rmtree(folder)
    with pytest.raises(Unavailable, match=r"scratch: free space there, or set \[scratch\] directory"):
        read(lambda into: into.write(parquet(20_000)), scratch)


def test_a_directory_that_is_not_there_is_refused_before_anything_is_read() -> None:
    with pytest.raises(ConfigError, match=r"/nowhere/at/all: create the directory, or set \[scratch\] directory"):
        TemporaryScratch("/nowhere/at/all")
