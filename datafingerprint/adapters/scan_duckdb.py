"""DuckDB as an engine of scans: it runs in this process, and reads the lake's files from the store itself."""

from __future__ import annotations

import contextlib
import importlib
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import duckdb
from botocore.exceptions import BotoCoreError

from datafingerprint.adapters.scan_statement import first_line, watched
from datafingerprint.config import S3, EngineSettings
from datafingerprint.errors import ConfigError, DataFingerprintError, Unavailable

SETTINGS = (
    # Without a progress bar nothing is told of the progress; it is not to be printed.
    "SET enable_progress_bar = true",
    "SET enable_progress_bar_print = false",
    # Of its two clients for https one looks at certificates only when it is told to.
    "SET enable_server_cert_verification = true",
)


class DuckDBEngine:
    """DuckDB over S3."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, settings: EngineSettings) -> None:
        self._connection = connection
        self._settings = settings

    def run(
        self, session: Sequence[str], statement: str, stop: threading.Event, progress: Callable[[str], None]
    ) -> list[Sequence[Any]]:
        """See the port."""

        def work() -> list[Sequence[Any]]:
            for one in session:
                self._connection.execute(one)
            return list(self._connection.execute(statement).fetchall())

        return watched(
            work,
            stop=stop,
            cancel=self._connection.interrupt,
            told=self._percent,
            progress=progress,
            timeout_s=self._settings.timeout_s,
            translate=_translated,
        )

    def _percent(self) -> str:
        done = self._connection.query_progress()
        return f"{done:.0f} %" if done > 0 else ""


def _translated(error: Exception) -> DataFingerprintError | None:
    if isinstance(error, duckdb.OutOfMemoryException):
        return ConfigError(f"duckdb came to its limit: {first_line(error)}", remedy="raise the engine's memory_mib")
    if isinstance(error, duckdb.IOException | duckdb.HTTPException):
        return Unavailable(f"the lake cannot be read ({first_line(error)})")
    return ConfigError(f"duckdb refused: {first_line(error)}") if isinstance(error, duckdb.Error) else None


@contextlib.contextmanager
def opened(s3: S3, settings: EngineSettings, scratch: str = "") -> Iterator[DuckDBEngine]:
    """DuckDB with the store's keys and the settings' share of this process, for the length of a block.

    Args:
        s3: The store.
        settings: What the scan may take.
        scratch: Directory for what does not fit in memory; empty: the system's.

    Raises:
        ConfigError: httpfs is not installed, there are no keys, or DuckDB refuses what the settings say of the store.
    """
    with _directory(scratch) as directory, duckdb.connect(":memory:") as connection:
        _load_httpfs(connection)
        keys = _keys(s3)
        try:
            for setting in (*SETTINGS, *_share(settings, directory)):
                connection.execute(setting)
            if s3.ca_file:
                connection.execute(f"SET ca_cert_file = {_quoted(s3.ca_file)}")
            connection.execute(secret(s3, keys))
        except duckdb.Error as error:
            said = first_line(error)
            for hidden in keys.values():
                said = said.replace(hidden, "***") if hidden else said
            raise ConfigError(f"duckdb refused the settings of the store: {said}", remedy="check [s3]") from None
        yield DuckDBEngine(connection, settings)


@contextlib.contextmanager
def _directory(scratch: str) -> Iterator[str]:
    """A directory of the scan's own for temporary files."""
    try:
        made = tempfile.TemporaryDirectory(prefix="dfp-scan-", dir=scratch or None, ignore_cleanup_errors=True)
    except OSError as error:
        where = scratch or tempfile.gettempdir()
        raise ConfigError(
            f"no temporary files can be made in {where} ({error.strerror})", remedy="check scratch.directory"
        ) from error
    with made as name:
        yield name


def _share(settings: EngineSettings, directory: str) -> Iterator[str]:
    """What the scan may take of this process, which may be one that others wait for: the REST service."""
    if settings.threads:
        yield f"SET threads = {settings.threads}"
    yield f"SET memory_limit = '{settings.memory_mib} MiB'"
    yield f"SET temp_directory = {_quoted(directory)}"


def _load_httpfs(connection: duckdb.DuckDBPyConnection) -> None:
    try:
        module = importlib.import_module("duckdb_extension_httpfs")
        extension = next(Path(str(module.__file__)).parent.rglob("httpfs.duckdb_extension"))
        connection.load_extension(str(extension))
    except (ModuleNotFoundError, StopIteration):
        try:
            connection.install_extension("httpfs")
            connection.load_extension("httpfs")
        except duckdb.Error:
            raise ConfigError(
                "DuckDB's httpfs is not installed", remedy="pip install 'datafingerprint[duckdb]'"
            ) from None
    except duckdb.Error as error:
        raise ConfigError(
            f"DuckDB's httpfs cannot be loaded ({first_line(error)})", remedy="install the one of this DuckDB's version"
        ) from None


def _keys(s3: S3) -> dict[str, str]:
    """The keys of the settings, or what the environment, an AWS profile or the machine's role gives now."""
    if s3.access_key:
        return {
            "KEY_ID": s3.access_key,
            "SECRET": s3.secret_key.get_secret_value(),
            "SESSION_TOKEN": s3.session_token.get_secret_value(),
        }
    try:
        found = boto3.Session().get_credentials()
        frozen = found.get_frozen_credentials() if found else None
    except BotoCoreError as error:
        raise ConfigError(f"there are no keys to sign with ({first_line(error)})", remedy="check [s3]") from error
    if frozen is None:
        raise ConfigError("there are no keys to sign with", remedy="set [s3] access_key and secret_key, or a profile")
    return {"KEY_ID": frozen.access_key or "", "SECRET": frozen.secret_key or "", "SESSION_TOKEN": frozen.token or ""}


def secret(s3: S3, keys: Mapping[str, str]) -> str:
    """The statement that lets DuckDB read the store with these keys, by its names of them."""
    scheme, _, host = s3.endpoint.rpartition("://")
    options = {
        **keys,
        "REGION": s3.region,
        "ENDPOINT": host.rstrip("/"),
        "URL_STYLE": "path" if s3.endpoint else "",
    }
    given = ", ".join(f"{name} {_quoted(value)}" for name, value in options.items() if value)
    return f"CREATE SECRET (TYPE s3, {given}, USE_SSL {str(scheme != 'http').lower()})"


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"
