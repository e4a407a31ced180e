"""DuckDB as an engine of scans, in this process: it reads the lake's files from the store."""

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

from datafingerprint.adapters.engines.statement import first_line, run_cancellable
from datafingerprint.config import S3, EngineSettings
from datafingerprint.errors import ConfigError, DataFingerprintError, Unavailable

SETTINGS = (
    # DuckDB reports progress only with a progress bar, which it must not print.
    "SET enable_progress_bar = true",
    "SET enable_progress_bar_print = false",
    # One of its two https clients checks certificates only with this setting.
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
            for setting in session:
                self._connection.execute(setting)
            return list(self._connection.execute(statement).fetchall())

        return run_cancellable(
            work,
            stop=stop,
            cancel=self._connection.interrupt,
            read_progress=self._percent,
            progress=progress,
            timeout_s=self._settings.timeout_s,
            translate=_translated,
        )

    def _percent(self) -> str:
        done = self._connection.query_progress()
        return f"{done:.0f} %" if done > 0 else ""


_REFUSED = "check [s3] and the table's files; another version of DuckDB may be able to read them"


def _translated(error: Exception) -> DataFingerprintError | None:
    if isinstance(error, duckdb.OutOfMemoryException):
        return ConfigError(
            f"duckdb reached its memory limit: {first_line(error)}", remedy="raise the engine's memory_mib"
        )
    if isinstance(error, duckdb.IOException | duckdb.HTTPException):
        return Unavailable(f"the lake cannot be read ({first_line(error)})")
    if isinstance(error, duckdb.Error):
        return ConfigError(f"duckdb refused: {first_line(error)}", remedy=_REFUSED)
    return None


@contextlib.contextmanager
def opened(s3: S3, settings: EngineSettings, scratch: str = "") -> Iterator[DuckDBEngine]:
    """Open DuckDB for a block, with the store's keys and a limited share of this process.

    Args:
        s3: The store.
        settings: Threads and memory that the scan may use.
        scratch: Directory of temporary files; empty means the system's.

    Raises:
        ConfigError: httpfs is not installed, no keys are found, or DuckDB refuses the settings of the store.
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
            message = first_line(error)
            for hidden in keys.values():
                message = message.replace(hidden, "***") if hidden else message
            raise ConfigError(f"duckdb refused the settings of the store: {message}", remedy="check [s3]") from None
        yield DuckDBEngine(connection, settings)


@contextlib.contextmanager
def _directory(scratch: str) -> Iterator[str]:
    """A new directory for the temporary files of one scan."""
    try:
        directory = tempfile.TemporaryDirectory(prefix="dfp-scan-", dir=scratch or None, ignore_cleanup_errors=True)
    except OSError as error:
        where = scratch or tempfile.gettempdir()
        raise ConfigError(
            f"temporary files cannot be created in {where} ({error.strerror})", remedy="check scratch.directory"
        ) from error
    with directory as name:
        yield name


def _share(settings: EngineSettings, directory: str) -> Iterator[str]:
    """Limits of a scan, since its process may be the REST service, which others wait for."""
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
                "DuckDB's httpfs is not installed", remedy=f"pip install duckdb-extension-httpfs=={duckdb.__version__}"
            ) from None
    except duckdb.Error as error:
        raise ConfigError(
            f"DuckDB's httpfs cannot be loaded ({first_line(error)})", remedy="install the one of this DuckDB's version"
        ) from None


def _keys(s3: S3) -> dict[str, str]:
    """The configured keys, or those of the environment, an AWS profile or the machine's role."""
    if s3.access_key:
        return {
            "KEY_ID": s3.access_key,
            "SECRET": s3.secret_key.get_secret_value(),
            "SESSION_TOKEN": s3.session_token.get_secret_value(),
        }
    try:
        credentials = boto3.Session().get_credentials()
        frozen = credentials.get_frozen_credentials() if credentials else None
    except BotoCoreError as error:
        raise ConfigError(f"there are no keys to sign with ({first_line(error)})", remedy="check [s3]") from error
    if frozen is None:
        raise ConfigError("there are no keys to sign with", remedy="set [s3] access_key and secret_key, or a profile")
    return {"KEY_ID": frozen.access_key or "", "SECRET": frozen.secret_key or "", "SESSION_TOKEN": frozen.token or ""}


def secret(s3: S3, keys: Mapping[str, str]) -> str:
    """The statement that gives DuckDB access to the store.

    Args:
        s3: The store.
        keys: The keys, by DuckDB's names.
    """
    scheme, _, host = s3.endpoint.rpartition("://")
    options = {
        **keys,
        "REGION": s3.region,
        "ENDPOINT": host.rstrip("/"),
        "URL_STYLE": "path" if s3.endpoint else "",
    }
    clauses = ", ".join(f"{name} {_quoted(value)}" for name, value in options.items() if value)
    return f"CREATE SECRET (TYPE s3, {clauses}, USE_SSL {str(scheme != 'http').lower()})"


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"
