"""The embedded warehouse: a MariaDB server with a full row binlog."""

from __future__ import annotations

import getpass
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from deploy.embedded.part import HOST, Part, PartError, accepts_connections, find_program
from deploy.embedded.private import make_private, make_socket_folder, write_private

SERVER_ID = 1
CONNECT_TIMEOUT_S = 5


@dataclass(frozen=True)
class MariaDB(Part):
    """A MariaDB server.

    Attributes:
        sockets: A folder with a short path for the server's socket.
        user: The account of capture and generator.
        password: Its password.
        schema: The schema in which the account may do everything; elsewhere it only reads.
    """

    sockets: Path
    user: str
    password: str
    schema: str = "ootp"

    @property
    def name(self) -> str:
        """See `Part`."""
        return "mariadb"

    @property
    def socket(self) -> Path:
        """The unix socket, through which the operating system's user is the administrator."""
        return self.sockets / "mariadb.sock"

    def prepare(self) -> None:
        """Installs the system tables once, and writes the statements that every start runs."""
        make_private(self.directory)
        make_socket_folder(self.sockets)
        write_private(self._init_file, self.account_sql())
        if not self._installed.exists():
            self._install()
            self._installed.touch()

    def command(self) -> list[str]:
        """See `Part`."""
        command = [
            find_program("mariadbd"),
            "--no-defaults",
            f"--datadir={self._data}",
            f"--socket={self.socket}",
            f"--pid-file={self.directory / 'mariadb.pid'}",
            f"--init-file={self._init_file}",
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
        ]
        # The server refuses to run as root unless it is told so.
        return [*command, "--user=root"] if os.geteuid() == 0 else command

    def is_ready(self) -> bool:
        """Whether a query of the services' own account is answered, so the account exists as well."""
        if not accepts_connections(self.port):
            return False
        try:
            with self.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except pymysql.Error:
            return False
        return True

    def environment(self) -> dict[str, str]:
        """See `Part`."""
        return {
            "DFP_SOURCE_HOST": HOST,
            "DFP_SOURCE_PORT": str(self.port),
            "DFP_SOURCE_USER": self.user,
            "DFP_SOURCE_PASSWORD": self.password,
        }

    def connect(self) -> Connection[Cursor]:
        """A connection as the services' account; the caller closes it."""
        return pymysql.connect(
            host=HOST,
            port=self.port,
            user=self.user,
            password=self.password,
            charset="utf8mb4",
            connect_timeout=CONNECT_TIMEOUT_S,
        )

    def connect_as_administrator(self) -> Connection[Cursor]:
        """A connection with every privilege, through the socket; the caller closes it."""
        return pymysql.connect(
            unix_socket=str(self.socket),
            user=getpass.getuser(),
            charset="utf8mb4",
            connect_timeout=CONNECT_TIMEOUT_S,
        )

    def account_sql(self) -> str:
        """The statements that create the account or mend it; the server reads one from each line."""
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

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _init_file(self) -> Path:
        return self.directory / "account.sql"

    @property
    def _installed(self) -> Path:
        return self.directory / "installed"

    def _install(self) -> None:
        command = [
            find_program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={self._data}",
            "--auth-root-authentication-method=socket",
            f"--auth-root-socket-user={getpass.getuser()}",
            "--skip-test-db",
            "--skip-name-resolve",
            f"--user={getpass.getuser()}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - no input of others
        if done.returncode != 0:
            raise PartError(f"mariadb-install-db failed: {(done.stderr or done.stdout).strip()}")
