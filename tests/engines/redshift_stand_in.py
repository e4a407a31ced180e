"""A PostgreSQL that stands in for Redshift: it proves the driver's way and ordinary SQL, and nothing more."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from datafingerprint.schema import BYTES_KINDS, Kind, TableSchema
from datafingerprint.sql.redshift import Redshift
from deploy.embedded.part import HOST
from tests.postgres_server import PostgresServer, started

DATABASE = "dev"
SSL_REQUEST = 80877103
KNOWN = {b"user", b"database", b"application_name", b"client_encoding"}
FUNCTIONS = """
CREATE FUNCTION strtol(text, int) RETURNS bigint IMMUTABLE LANGUAGE sql
  AS $$ SELECT ('x' || lpad($1, 16, '0'))::bit(64)::bigint $$;
CREATE FUNCTION to_hex(bytea) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT encode($1, 'hex') $$;
"""


@contextlib.contextmanager
def postgres(bin_folder: Path) -> Iterator[PostgresServer]:
    """A server with the functions that Redshift has beside, and its driver's passwords."""
    with started(bin_folder, "-c", "password_encryption=md5") as server:
        server.psql(f"CREATE DATABASE {DATABASE}")
        server.psql(FUNCTIONS, DATABASE)
        yield server


def fill(server: PostgresServer, table: TableSchema, rows: pa.Table) -> None:
    """Makes the table, as an external table would show it, and copies rows into it."""
    quote = Redshift().identifier
    described = ", ".join(f"{quote(column.name)} {_type(column.arrow)}" for column in table.columns)
    name = f"{quote(table.schema)}.{quote(table.name)}"
    lines = [
        "\t".join(_field(column.kind, row[column.name]) for column in table.columns)
        for row in rows.select([column.name for column in table.columns]).to_pylist()
    ]
    copy = f"COPY {name} FROM STDIN;\n" + "".join(f"{line}\n" for line in lines) + "\\.\n"
    made = f"CREATE SCHEMA IF NOT EXISTS {quote(table.schema)};\nCREATE TABLE {name} ({described});\n{copy}"
    server.psql(made, DATABASE)


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


def _field(kind: Kind, value: Any) -> str:  # noqa: ANN401 - a value of any column
    if value is None:
        return "\\N"
    if kind in BYTES_KINDS:
        return "\\\\x" + bytes(value).hex()
    if kind in (Kind.DATETIME, Kind.TIMESTAMP):
        return str(value.isoformat(" "))
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
    result = b""
    while len(result) < count:
        piece = source.recv(count - len(result))
        if not piece:
            raise EOFError
        result += piece
    return result


def _pipe(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)


def rows_without_zero_characters(rows: pa.Table) -> Sequence[dict[str, object]]:
    """PostgreSQL, unlike a lake, holds no text with a character 0."""
    return [
        row for row in rows.to_pylist() if not any(isinstance(value, str) and "\0" in value for value in row.values())
    ]
