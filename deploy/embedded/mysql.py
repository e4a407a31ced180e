"""The embedded warehouse, if it is MySQL: a server with GTIDs and a full row binlog.

On distributions without MySQL, `./run` unpacks the packages of another release below `.local/mysql`. The server then
runs with the loader and libraries of that folder, and the machine's stay unchanged.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.embedded.part import HOST, PartError, find_program
from deploy.embedded.warehouse import SERVER_ID, Warehouse, unverified_tls

UNPACKED = Path(__file__).resolve().parents[2] / ".local" / "mysql"


@dataclass(frozen=True)
class MySQL(Warehouse):
    """A MySQL server, 8.0 or later."""

    @property
    def name(self) -> str:
        """See `Part`."""
        return "mysql"

    @property
    def gtid_variable(self) -> str:
        """See `Warehouse`."""
        return "gtid_executed"

    @property
    def administrator(self) -> str:
        """See `Warehouse`; only the socket's folder, which is ours alone, keeps others out."""
        return "root"

    def tls(self) -> dict[str, Any]:
        """See `Warehouse`; accounts need TLS, with the certificate that the server made."""
        return {"ssl": unverified_tls()}

    def command(self) -> list[str]:
        """See `Part`."""
        return [
            *server_command(),
            f"--datadir={self.data}",
            f"--socket={self.socket}",
            f"--pid-file={self.directory / 'mysql.pid'}",
            f"--init-file={self.init_file}",
            f"--bind-address={HOST}",
            f"--port={self.port}",
            "--mysqlx=OFF",
            "--secure-file-priv=NULL",
            "--skip-name-resolve",
            "--max-connections=200",
            f"--server-id={SERVER_ID}",
            "--log-bin=binlog",
            "--binlog-row-image=FULL",
            "--binlog-row-metadata=FULL",
            "--gtid-mode=ON",
            "--enforce-gtid-consistency=ON",
            "--sync-binlog=1",
            "--innodb-flush-log-at-trx-commit=1",
            "--innodb-buffer-pool-size=128M",
            "--character-set-server=utf8mb4",
            *self.options,
        ]

    def account_sql(self) -> str:
        """See `Warehouse`."""
        account = f"'{self.user}'@'{HOST}'"
        return "\n".join(
            [
                # Set by name first: the account must not depend on a binlog, nor appear in it.
                "SET sql_log_bin=0;",
                f"CREATE USER IF NOT EXISTS {account};",
                f"ALTER USER {account} IDENTIFIED BY '{self.password}';",
                f"GRANT SELECT, RELOAD, REPLICATION SLAVE, REPLICATION CLIENT, BACKUP_ADMIN ON *.* TO {account};",
                f"GRANT ALL ON `{self.schema}`.* TO {account};",
                # Last, for it fails where it is installed already: MD5() is a component since 9.6.
                "INSTALL COMPONENT 'file://component_classic_hashing';",
                "",
            ]
        )

    def _install(self) -> None:
        command = [*server_command(), "--initialize-insecure", f"--datadir={self.data}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no input of others
        if done.returncode != 0:
            raise PartError(f"mysqld --initialize-insecure failed: {(done.stderr or done.stdout).strip()}")


def server_command() -> list[str]:
    """The server's command, with the paths of its own files.

    Raises:
        PartError: no MySQL is installed.
    """
    # The server refuses to run as root unless it is told so.
    as_root = ["--user=root"] if os.geteuid() == 0 else []
    if not UNPACKED.exists():
        return [find_program("mysqld"), "--no-defaults", *as_root]
    share = UNPACKED / "usr" / "share" / "mysql"
    return [
        str(next(UNPACKED.glob("lib*/ld-linux-*"))),
        "--library-path",
        ":".join(str(folder) for folder in UNPACKED.glob("usr/lib/*-linux-gnu*")),
        str(UNPACKED / "usr" / "sbin" / "mysqld"),
        "--no-defaults",
        f"--basedir={UNPACKED / 'usr'}",
        f"--lc-messages-dir={share}",
        f"--character-sets-dir={share / 'charsets'}",
        f"--plugin-dir={UNPACKED / 'usr' / 'lib' / 'mysql' / 'plugin'}",
        *as_root,
    ]
