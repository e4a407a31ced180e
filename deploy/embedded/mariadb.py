"""The embedded warehouse: a MariaDB server with a full row binlog."""

from __future__ import annotations

import getpass
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from deploy.embedded.part import HOST, PartError, find_program
from deploy.embedded.private import make_private
from deploy.embedded.warehouse import SERVER_ID, Warehouse


@dataclass(frozen=True)
class MariaDB(Warehouse):
    """A MariaDB server."""

    @property
    def name(self) -> str:
        """See `Part`."""
        return "mariadb"

    @property
    def gtid_variable(self) -> str:
        """See `Warehouse`."""
        return "gtid_binlog_pos"

    @property
    def temporary(self) -> Path:
        """Temporary files. A starting server deletes those of others in the machine's folder."""
        return self.directory / "tmp"

    def prepare(self) -> None:
        """See `Warehouse`."""
        make_private(self.temporary)
        super().prepare()

    def command(self) -> list[str]:
        """See `Part`."""
        command = [
            find_program("mariadbd"),
            "--no-defaults",
            f"--tmpdir={self.temporary}",
            f"--datadir={self.data}",
            f"--socket={self.socket}",
            f"--pid-file={self.directory / 'mariadb.pid'}",
            f"--init-file={self.init_file}",
            f"--bind-address={HOST}",
            f"--port={self.port}",
            "--skip-name-resolve",
            "--max-connections=200",
            f"--server-id={SERVER_ID}",
            "--log-bin=binlog",
            "--binlog-format=ROW",
            "--binlog-row-image=FULL",
            "--binlog-row-metadata=FULL",
            # A transaction that was acknowledged is in the binlog and in the table after a power cut as well.
            "--sync-binlog=1",
            "--innodb-flush-log-at-trx-commit=1",
            "--innodb-buffer-pool-size=128M",
            "--character-set-server=utf8mb4",
            "--collation-server=utf8mb4_unicode_ci",
            *self.options,
        ]
        # The server refuses to run as root unless it is told so.
        return [*command, "--user=root"] if os.geteuid() == 0 else command

    def account_sql(self) -> str:
        """See `Warehouse`."""
        account = f"'{self.user}'@'{HOST}'"
        return "\n".join(
            [
                # Set by name first: the account must not depend on a binlog, nor appear in it.
                "SET sql_log_bin=0;",
                f"CREATE USER IF NOT EXISTS {account};",
                f"ALTER USER {account} IDENTIFIED BY '{self.password}';",
                f"GRANT SELECT, RELOAD, REPLICATION SLAVE, BINLOG MONITOR ON *.* TO {account};",
                f"GRANT ALL ON `{self.schema}`.* TO {account};",
                "",
            ]
        )

    def _install(self) -> None:
        command = [
            find_program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={self.data}",
            "--auth-root-authentication-method=socket",
            f"--auth-root-socket-user={getpass.getuser()}",
            "--skip-test-db",
            "--skip-name-resolve",
            f"--user={getpass.getuser()}",
        ]
        environment = {**os.environ, "TMPDIR": str(self.temporary)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - no input of others
        if done.returncode != 0:
            raise PartError(f"mariadb-install-db failed: {(done.stderr or done.stdout).strip()}")
