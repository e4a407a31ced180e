"""The embedded warehouse: the common part of both servers."""

from __future__ import annotations

import getpass
import ssl
from abc import abstractmethod
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import Cursor

from deploy.embedded.part import HOST, Part, accepts_connections
from deploy.embedded.private import make_private, make_socket_folder, write_private

SERVER_ID = 1
CONNECT_TIMEOUT_S = 5


@dataclass(frozen=True)
class Warehouse(Part):
    """A MySQL or MariaDB server with a full row binlog.

    Attributes:
        sockets: A folder with a short path for the server's socket.
        user: The account of capture and generator.
        password: Its password.
        schema: The schema in which the account has all privileges; elsewhere it only reads.
        options: More options of the server.
    """

    sockets: Path
    user: str
    password: str
    schema: str = "ootp"
    options: tuple[str, ...] = ()

    @property
    def socket(self) -> Path:
        """The unix socket, through which the operating system's user is the administrator."""
        return self.sockets / f"{self.name}.sock"

    @property
    @abstractmethod
    def gtid_variable(self) -> str:
        """The global variable with the binlog's position."""

    @abstractmethod
    def account_sql(self) -> str:
        """The statements that create or repair the account; the server reads one per line."""

    @abstractmethod
    def _install(self) -> None: ...

    def prepare(self) -> None:
        """Installs the system tables once, and writes the statements that every start runs."""
        make_private(self.directory)
        make_socket_folder(self.sockets)
        write_private(self.init_file, self.account_sql())
        if not self._installed.exists():
            self._install()
            self._installed.touch()

    def is_ready(self) -> bool:
        """Whether the services' account can run a query."""
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
            **self.tls(),
        )

    def tls(self) -> dict[str, Any]:
        """TLS options of the client. None loads the machine's authorities, which takes 25 ms."""
        encrypts = any(option.startswith("--ssl-cert=") for option in self.options)
        return {"ssl": unverified_tls()} if encrypts else {"ssl_disabled": True}

    def connect_as_administrator(self) -> Connection[Cursor]:
        """A connection with every privilege, through the socket; the caller closes it."""
        return pymysql.connect(
            unix_socket=str(self.socket),
            user=self.administrator,
            charset="utf8mb4",
            connect_timeout=CONNECT_TIMEOUT_S,
            ssl_disabled=True,
        )

    @property
    def administrator(self) -> str:
        """The account with every privilege."""
        return getpass.getuser()

    def gtid(self) -> str:
        """The binlog's position."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT @@GLOBAL.{self.gtid_variable}")
            row = cursor.fetchone()
        return str(row[0]).replace("\n", "") if row else ""

    @property
    def data(self) -> Path:
        """The server's data."""
        return self.directory / "data"

    @property
    def init_file(self) -> Path:
        """The statements that every start runs."""
        return self.directory / "account.sql"

    @property
    def _installed(self) -> Path:
        return self.directory / "installed"


@cache
def unverified_tls() -> ssl.SSLContext:
    """TLS to a certificate that is not verified, as between two processes of one machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
