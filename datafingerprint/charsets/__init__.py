"""Decodes character sets other than UTF-8 exactly as the servers convert them.

Python's codecs differ from the servers'. For example, latin1 has five more characters than cp1252, and sjis has its
own backslash. `deploy.charset_tables` wrote the files in `tables/` from the servers' conversion. A live test compares
all codes with MySQL and MariaDB. A table has only codes that the server converts to a character and back. If two
codes have the same character, or a code has none, decoding raises an error.
"""

from __future__ import annotations

from datafingerprint.charsets.decoding import texts
from datafingerprint.charsets.tables import BINARY, IN_CODE_UNITS, TABLES, UTF8, charset_of, table_of

KNOWN = UTF8 | IN_CODE_UNITS.keys() | TABLES
"""Every character set whose texts can be captured."""

__all__ = ["BINARY", "IN_CODE_UNITS", "KNOWN", "TABLES", "UTF8", "charset_of", "table_of", "texts"]
