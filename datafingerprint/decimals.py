"""Decimals from their printed form."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from datafingerprint.schema import Column


def from_texts(texts: pa.Array, column: Column) -> pa.Array:
    """Parses digits as a DECIMAL column, without leading zeros of ZEROFILL or packed groups.

    Values of up to 38 digits become Arrow decimals. Longer ones stay texts in their canonical form.
    """
    if not column.is_long_decimal:
        return texts.cast(column.arrow)
    plain = pc.replace_substring_regex(texts, r"^(-?)0+([0-9])", r"\1\2")
    return pc.replace_substring_regex(plain, r"^-(0(\.0+)?)$", r"\1")
