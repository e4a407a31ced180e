"""Character sets other than UTF-8: what the servers' own conversion makes of stored octets, and of no others.

Codecs of the language's library differ from the servers' (latin1 has five characters more than cp1252, sjis has a
backslash of its own), so the tables below `tables/` were written down from the servers by `deploy.charset_tables`;
a live test holds all codes of all of them against MySQL and MariaDB. A code is in its table only if the server
gives it back: where two codes have one character, or a code has none, the value is refused.
"""

from __future__ import annotations

from datafingerprint.charsets.decoding import texts
from datafingerprint.charsets.tables import IN_CODE_UNITS, TABLES, UTF8, charset_of, table_of

KNOWN = UTF8 | IN_CODE_UNITS.keys() | TABLES
"""Every character set whose texts can be carried."""

__all__ = ["IN_CODE_UNITS", "KNOWN", "TABLES", "UTF8", "charset_of", "table_of", "texts"]
