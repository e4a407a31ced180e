"""A PostgreSQL of the tests' own, from the programs that the machine has."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.embedded.part import HOST
from deploy.embedded.ports import free_ports
from deploy.embedded.process import Process
from deploy.embedded.waiting import await_condition

USER, PASSWORD = "dfp", "secret"


def programs() -> Path | None:
    """Where PostgreSQL's programs are; None where it is not installed."""
    result = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    named = shutil.which("initdb")
    return Path(named).resolve().parent if named else (result[-1].parent if result else None)


def _as_somebody(folder: Path) -> list[str]:
    """What goes before a command of PostgreSQL, which refuses to run as root."""
    if os.getuid() != 0:
        return []
    names = {entry.pw_name for entry in pwd.getpwall()}
    name = "postgres" if "postgres" in names else "nobody"
    shutil.chown(folder, name)
    return ["setpriv", f"--reuid={name}", f"--regid={pwd.getpwnam(name).pw_gid}", "--clear-groups", "--"]


@dataclass
class PostgresServer:
    """A server that runs.

    Attributes:
        bin_folder: Where its programs are.
        folder: Where its data and its log are.
        port: Where it listens.
        options: What it is started with beside.
        process: The server itself.
    """

    bin_folder: Path
    folder: Path
    port: int
    options: Sequence[str] = ()
    process: Process | None = None
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def url(self, database: str, *, user: str = USER, password: str = PASSWORD) -> str:
        """As `state.url` and `lake.catalog` name a database there."""
        return f"postgresql://{user}:{password}@{HOST}:{self.port}/{database}"

    def new_database(self, more: str = "") -> str:
        """The URL of an empty database that no other test has."""
        name = f"test{next(self._numbers)}"
        self.psql(f"CREATE DATABASE {name} {more}")
        return self.url(name)

    def new_schema(self) -> str:
        """The URL of an empty schema, which is made much sooner than a database."""
        name = f"schema{next(self._numbers)}"
        self.psql(f"CREATE SCHEMA {name}")
        return f"{self.url('postgres')}?options=-csearch_path%3D{name}"

    def psql(self, text: str, database: str = "postgres") -> None:
        """Runs statements by the plain client."""
        login = ["-h", HOST, "-p", str(self.port), "-U", USER, database]
        command = [str(self.bin_folder / "psql"), "-qX", "-v", "ON_ERROR_STOP=1", *login]
        environment = {**os.environ, "PGPASSWORD": PASSWORD, "PGTZ": "UTC"}
        done = subprocess.run(command, input=text.encode(), env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()[-2000:]

    def start(self) -> None:
        """Starts it on the data that it has, and waits until it takes queries: the port is open a moment before."""
        options = ["-p", str(self.port), "-h", HOST, "-k", str(self.folder), *self.options]
        server = [str(self.bin_folder / "postgres"), "-D", str(self.folder / "data"), *options]
        self.process = Process([*_as_somebody(self.folder), *server], self.folder / "log")
        assert await_condition(self._answers, timeout_s=60), (self.folder / "log").read_text()[-2000:]

    def stop(self, mode: str = "fast") -> None:
        """Stops it without waiting for its clients; `immediate` is a crash, from which the next start recovers."""
        command = [str(self.bin_folder / "pg_ctl"), "stop", "-m", mode, "-w", "-D", str(self.folder / "data")]
        subprocess.run([*_as_somebody(self.folder), *command], check=False, capture_output=True)
        if self.process is not None:
            self.process.stop()

    def _answers(self) -> bool:
        command = [str(self.bin_folder / "pg_isready"), "-q", "-h", HOST, "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0


@contextlib.contextmanager
def started(bin_folder: Path, *options: str) -> Iterator[PostgresServer]:
    """A new server; `options` are such as `-c fsync=off`."""
    with tempfile.TemporaryDirectory(prefix="dfp-pg-") as name:
        server = PostgresServer(bin_folder, Path(name), free_ports(1)[0], options)
        as_somebody = _as_somebody(server.folder)
        secret = server.folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        made = ["-U", USER, "--auth=md5", f"--pwfile={secret}", "-E", "UTF8", "--locale=C"]
        initdb = [str(bin_folder / "initdb"), *made, "-D", str(server.folder / "data")]
        subprocess.run([*as_somebody, *initdb], check=True, capture_output=True)
        try:
            server.start()
            yield server
        finally:
            # Its clients are a test's, which may have failed with their connections open.
            server.stop()
