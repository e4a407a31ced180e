"""Dates and timestamps from their parts, in whole columns; impossible days become NULL.

MySQL stores `0000-00-00` and, in some modes, `2031-04-31`. A Parquet date cannot represent them, so the lake has NULL
and the canonical row leaves the field out. The year 0000 counts as impossible too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Integers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Days:
    """Days since 1970-01-01, and which of them exist."""

    days: Integers
    possible: Mask


def days(year: Integers, month: Integers, day: Integers) -> Days:
    """The calendar days of year, month and day numbers."""
    sane = (year >= 1) & (year <= 9999) & (month >= 1) & (month <= 12) & (day >= 1)  # noqa: PLR2004 - the calendar
    months = np.where(sane, (year - 1970) * 12 + month - 1, 0).astype("datetime64[M]")
    first = months.astype("datetime64[D]").astype(np.int64)
    length = (months + 1).astype("datetime64[D]").astype(np.int64) - first
    return Days(np.where(sane, first + day - 1, 0), sane & (day <= length))


def date_column(calendar: Days, null: Mask) -> pa.Array:
    """Builds a date32 column; `null` marks rows that are NULL in the source."""
    return pa.array(calendar.days.astype(np.int32), mask=null | ~calendar.possible).cast(pa.date32())


def moment_column(calendar: Days, day_us: Integers, null: Mask, kind: pa.DataType) -> pa.Array:
    """Builds a timestamp column from days and microseconds of the day."""
    moments = calendar.days * DAY_US + day_us
    return pa.array(moments, pa.int64(), mask=null | ~calendar.possible).cast(kind)
