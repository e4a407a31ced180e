"""A PostgreSQL that stands in for Redshift: it proves the driver's way and ordinary SQL, and nothing more."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from datafingerprint.schema import BYTES_KINDS, Kind, TableSchema
from datafingerprint.sql.redshift import Redshift
from deploy.embedded.part import HOST
from deploy.embedded.ports import free_ports
from deploy.embedded.process import Process
from deploy.embedded.waiting import await_condition

USER, PASSWORD, DATABASE = "dfp", "secret", "dev"
SSL_REQUEST = 80877103
KNOWN = {b"user", b"database", b"application_name", b"client_encoding"}
FUNCTIONS = """
CREATE FUNCTION strtol(text, int) RETURNS bigint IMMUTABLE LANGUAGE sql
  AS $$ SELECT ('x' || lpad($1, 16, '0'))::bit(64)::bigint $$;
CREATE FUNCTION to_hex(bytea) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT encode($1, 'hex') $$;
"""


def programs() -> Path | None:
    """Where PostgreSQL's programs are; None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    named = shutil.which("initdb")
    return Path(named).resolve().parent if named else (found[-1].parent if found else None)


def _as_somebody(folder: Path) -> list[str]:
    """What goes before a command of PostgreSQL, which refuses to run as root."""
    if os.getuid() != 0:
        return []
    names = {entry.pw_name for entry in pwd.getpwall()}
    name = "postgres" if "postgres" in names else "nobody"
    shutil.chown(folder, name)
    return ["setpriv", f"--reuid={name}", f"--regid={pwd.getpwnam(name).pw_gid}", "--clear-groups", "--"]


@contextlib.contextmanager
def postgres(bin_folder: Path) -> Iterator[int]:
    """A server with the functions that Redshift has beside; gives its port."""
    with tempfile.TemporaryDirectory(prefix="dfp-pg-") as name:
        folder, port = Path(name), free_ports(1)[0]
        as_somebody = _as_somebody(folder)
        secret = folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        data = folder / "data"
        arguments = ["-U", USER, "--auth=md5", f"--pwfile={secret}", "-E", "UTF8", "--locale=C", "-D", str(data)]
        subprocess.run([*as_somebody, str(bin_folder / "initdb"), *arguments], check=True, capture_output=True)
        options = ["-p", str(port), "-h", HOST, "-k", str(folder), "-c", "password_encryption=md5"]
        process = Process([*as_somebody, str(bin_folder / "postgres"), "-D", str(data), *options], folder / "log")
        try:
            assert await_condition(lambda: _answers(bin_folder, port), timeout_s=60)
            psql(bin_folder, port, f"CREATE DATABASE {DATABASE}", database="postgres")
            psql(bin_folder, port, FUNCTIONS)
            yield port
        finally:
            process.stop()


def _answers(bin_folder: Path, port: int) -> bool:
    """Whether it takes queries: the port is open a moment before."""
    command = [str(bin_folder / "pg_isready"), "-q", "-h", HOST, "-p", str(port)]
    return subprocess.run(command, check=False).returncode == 0


def psql(bin_folder: Path, port: int, text: str, database: str = DATABASE) -> None:
    """Runs statements by the plain client."""
    command = [
        str(bin_folder / "psql"),
        "-qX",
        "-v",
        "ON_ERROR_STOP=1",
        "-h",
        HOST,
        "-p",
        str(port),
        "-U",
        USER,
        database,
    ]
    environment = {**os.environ, "PGPASSWORD": PASSWORD, "PGTZ": "UTC"}
    done = subprocess.run(command, input=text.encode(), env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]


def fill(bin_folder: Path, port: int, table: TableSchema, rows: pa.Table) -> None:
    """Makes the table, as an external table would show it, and copies rows into it."""
    quote = Redshift().identifier
    described = ", ".join(f"{quote(one.name)} {_type(one.arrow)}" for one in table.columns)
    name = f"{quote(table.schema)}.{quote(table.name)}"
    lines = [
        "\t".join(_field(one.kind, row[one.name]) for one in table.columns)
        for row in rows.select([one.name for one in table.columns]).to_pylist()
    ]
    copy = f"COPY {name} FROM STDIN;\n" + "".join(f"{line}\n" for line in lines) + "\\.\n"
    psql(
        bin_folder,
        port,
        f"CREATE SCHEMA IF NOT EXISTS {quote(table.schema)};\nCREATE TABLE {name} ({described});\n{copy}",
    )


def _type(arrow: pa.DataType) -> str:
    if pa.types.is_decimal(arrow):
        return f"numeric({arrow.precision}, {arrow.scale})"
    return {
        "int32": "integer",
        "int64": "bigint",
        "float": "real",
        "double": "double precision",
        "date32[day]": "date",
        "timestamp[us]": "timestamp",
        "timestamp[us, tz=UTC]": "timestamptz",
        "string": "varchar",
        "binary": "bytea",
    }[str(arrow)]


def _field(kind: Kind, value: object) -> str:
    if value is None:
        return "\\N"
    if kind in BYTES_KINDS:
        return "\\\\x" + bytes(value).hex()  # type: ignore[call-overload] - octets
    if kind in (Kind.DATETIME, Kind.TIMESTAMP):
        return value.isoformat(" ")  # type: ignore[attr-defined] - a moment
    text = repr(value) if isinstance(value, float) else str(value)
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


@contextlib.contextmanager
def shim(server_port: int) -> Iterator[int]:
    """Lets Redshift's driver talk to PostgreSQL: no TLS, no settings that it does not know, an older version."""
    with socket.create_server((HOST, 0)) as listening:
        threading.Thread(target=_accept, args=(listening, server_port), daemon=True).start()
        yield int(listening.getsockname()[1])


def _accept(listening: socket.socket, server_port: int) -> None:
    while True:
        try:
            client, _ = listening.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(client, server_port), daemon=True).start()


def _serve(client: socket.socket, server_port: int) -> None:
    with contextlib.suppress(OSError, EOFError), client, socket.create_connection((HOST, server_port)) as server:
        length, code = struct.unpack("!ii", _exactly(client, 8))
        if code == SSL_REQUEST:
            client.sendall(b"N")
            length, code = struct.unpack("!ii", _exactly(client, 8))
        words = _exactly(client, length - 8).rstrip(b"\0").split(b"\0")
        given = zip(words[::2], words[1::2], strict=False)
        kept = b"".join(name + b"\0" + value + b"\0" for name, value in given if name in KNOWN) + b"\0"
        server.sendall(struct.pack("!ii", len(kept) + 8, code) + kept)
        threading.Thread(target=_pipe, args=(client, server), daemon=True).start()
        while True:
            kind, (size,) = _exactly(server, 1), struct.unpack("!i", _exactly(server, 4))
            body = _exactly(server, size - 4)
            if kind == b"S" and body.startswith(b"server_version\0"):
                body = b"server_version\x008.0.2\0"
            client.sendall(kind + struct.pack("!i", len(body) + 4) + body)


def _exactly(source: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        piece = source.recv(count - len(found))
        if not piece:
            raise EOFError
        found += piece
    return found


def _pipe(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)


def rows_without_zero_characters(rows: pa.Table) -> Sequence[dict[str, object]]:
    """PostgreSQL, unlike a lake, holds no text with a character 0."""
    return [
        row for row in rows.to_pylist() if not any(isinstance(value, str) and "\0" in value for value in row.values())
    ]
