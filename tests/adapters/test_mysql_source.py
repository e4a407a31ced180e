"""What a server's variables must be is demanded by name, also of those that no running server can change."""

from __future__ import annotations

import pytest

from datafingerprint.adapters.mariadb_server import MariaDbServer
from datafingerprint.adapters.mysql_server import MySqlServer
from datafingerprint.adapters.mysql_source import BinlogSource
from datafingerprint.adapters.server import Server
from datafingerprint.config import Settings
from datafingerprint.errors import SourceError

FIT = {"binlog_row_metadata": "FULL"}


@pytest.mark.parametrize("server", [MariaDbServer(), MySqlServer((9, 7, 0))])
@pytest.mark.parametrize(
    ("variable", "unfit"), [("lower_case_table_names", "1"), ("log_bin", "OFF"), ("binlog_order_commits", "OFF")]
)
def test_a_server_that_was_started_unfit_is_refused(server: Server, variable: str, unfit: str) -> None:
    source = BinlogSource(Settings())
    source._require_variables(server, FIT)
    with pytest.raises(SourceError, match=f"the source has {variable} = {unfit}"):
        source._require_variables(server, FIT | {variable: unfit})
