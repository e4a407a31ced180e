"""DuckDB reads the lake with temporary keys, a private authority, or the machine's keys."""

from __future__ import annotations

import contextlib
import functools
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datafingerprint.adapters.engines import statement as scan_statement
from datafingerprint.adapters.engines.drivers import engine_opener
from datafingerprint.adapters.engines.duckdb import opened
from datafingerprint.config import EngineSettings, Settings, load_settings
from datafingerprint.errors import ConfigError, Unavailable
from datafingerprint.scans import Cancelled
from tests.certificates import Certificates, make_certificates

SECRET, TOKEN = "not-shown's", "of-the-key"
COUNT = "SELECT sum(n) FROM read_parquet('s3://lake/t/a.parquet')"


@dataclass
class Store:
    """A store of one object over https, and the requests that it received."""

    port: int
    certificates: Certificates
    requests: list[dict[str, str]]

    def settings(self, **more: str) -> Settings:
        given = {
            "DFP_S3_ENDPOINT": f"https://127.0.0.1:{self.port}/",
            "DFP_S3_CA_FILE": str(self.certificates.authority),
            "DFP_S3_ACCESS_KEY": "key",
            "DFP_S3_SECRET_KEY": SECRET,
        }
        return load_settings({}, {**given, **more})


class _Object(BaseHTTPRequestHandler):
    """Answers HEAD, and GET of a range, as a store does."""

    def __init__(self, data: bytes, requests: list[dict[str, str]], *given: object) -> None:
        self._data, self._requests = data, requests
        super().__init__(*given)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self._answer(200, len(self._data))

    def do_GET(self) -> None:
        start, _, end = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        piece = self._data[int(start) : int(end or len(self._data)) + 1]
        self._answer(206, len(piece))
        self.wfile.write(piece)

    def _answer(self, status: int, size_bytes: int) -> None:
        self._requests.append({name.lower(): value for name, value in self.headers.items()} | {"path": self.path})
        self.send_response(status)
        self.send_header("Content-Length", str(size_bytes))
        self.send_header("ETag", '"of-the-object"')
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("store")
    certificates = make_certificates(folder)
    pq.write_table(pa.table({"n": [1, 2, 39]}), folder / "a.parquet")
    requests: list[dict[str, str]] = []
    handler = functools.partial(_Object, (folder / "a.parquet").read_bytes(), requests)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server, certificates.server_key)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield Store(server.server_address[1], certificates, requests)
        server.shutdown()
        thread.join()


def counted(settings: Settings) -> list[object]:
    with engine_opener(settings)("duckdb", EngineSettings()) as engine:
        return [row[0] for row in engine.run((), COUNT, threading.Event(), lambda _: None)]


def test_a_temporary_key_is_sent_with_its_token_to_a_server_of_a_private_authority(store: Store) -> None:
    store.requests.clear()
    assert counted(store.settings(DFP_S3_SESSION_TOKEN=TOKEN)) == [42]
    assert {(request["path"], request["x-amz-security-token"]) for request in store.requests} == {
        ("/lake/t/a.parquet", TOKEN)
    }


def test_without_a_configured_key_the_key_of_the_machine_is_used(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.requests.clear()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-machine")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    assert counted(store.settings(DFP_S3_ACCESS_KEY="", DFP_S3_SECRET_KEY="")) == [42]
    assert all(
        "of-the-machine" in request["authorization"] and request["x-amz-security-token"] == TOKEN
        for request in store.requests
    )


def test_a_server_that_no_known_authority_signed_is_not_read(store: Store) -> None:
    with pytest.raises(Unavailable, match="the lake cannot be read"):
        counted(store.settings(DFP_S3_CA_FILE=str(store.certificates.other_authority)))


def test_a_key_that_is_no_text_is_refused_in_one_line_that_shows_no_secret(store: Store) -> None:
    with pytest.raises(ConfigError, match=r"setting s3\.secret_key contains a NUL") as error:
        counted(store.settings(DFP_S3_SECRET_KEY="not\0shown"))
    assert "shown" not in str(error.value)
    assert "\n" not in str(error.value)


LONG = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE hash(a.range, b.range) = 7"


def test_a_statement_shows_its_progress_and_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_statement, "CHECK_S", 0.02)
    pq.write_table(pa.table({"n": range(1_000_000)}), tmp_path / "many.parquet", row_group_size=10_000)
    slow = f"SELECT min(md5(repeat(n::VARCHAR, 50))) FROM read_parquet('{tmp_path}/many.parquet')"
    stop, texts = threading.Event(), []

    def progress(text: str) -> None:
        texts.append(text)
        if text:
            stop.set()

    with opened(load_settings({}, {"DFP_S3_ACCESS_KEY": "key"}).s3, EngineSettings()) as engine:
        with pytest.raises(Cancelled, match=r"^$"):
            engine.run((), slow, stop, progress)
        assert texts[-1].endswith(" %")
        # The connection is usable for the next statement.
        assert engine.run((), "SELECT 1", threading.Event(), lambda _: None) == [(1,)]


def test_a_statement_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_statement, "CHECK_S", 0.02)
    settings = EngineSettings.model_validate({"timeout_s": 0.1})
    with (
        opened(load_settings({}, {"DFP_S3_ACCESS_KEY": "key"}).s3, settings) as engine,
        pytest.raises(ConfigError, match=r"^the engine was not done after 0\.1 s: raise its timeout_s$"),
    ):
        engine.run((), LONG, threading.Event(), lambda _: None)


def test_a_scan_stays_within_its_threads_memory_and_directory(tmp_path: Path) -> None:
    settings = load_settings({"scratch": {"directory": str(tmp_path)}}, {"DFP_S3_ACCESS_KEY": "key"})
    limits = "SELECT " + ", ".join(
        f"current_setting('{name}')" for name in ("threads", "memory_limit", "temp_directory")
    )
    with engine_opener(settings)("duckdb", EngineSettings.model_validate({"threads": 1, "memory_mib": 64})) as engine:
        ((threads, memory, directory),) = engine.run((), limits, threading.Event(), lambda _: None)
        assert (threads, memory) == (1, "64.0 MiB")
        assert Path(directory).parent == tmp_path
        more = "SELECT count(*) FROM (SELECT i, md5(i::VARCHAR) FROM range(3000000) t(i) ORDER BY 2)"
        assert engine.run((), more, threading.Event(), lambda _: None) == [(3_000_000,)]
        with pytest.raises(
            ConfigError, match=r"^duckdb reached its memory limit: .*MiB used.*: raise the engine.s memory_mib$"
        ):
            engine.run((), "SELECT len(list(i)) FROM range(50000000) t(i)", threading.Event(), lambda _: None)
    assert list(tmp_path.iterdir()) == []


def test_zero_threads_means_every_core() -> None:
    settings = load_settings({}, {"DFP_S3_ACCESS_KEY": "key"})
    with engine_opener(settings)("duckdb", EngineSettings.model_validate({"threads": 0})) as engine:
        (threads,) = engine.run((), "SELECT current_setting('threads')", threading.Event(), lambda _: None)
    with duckdb.connect() as plain:
        assert tuple(threads) == plain.execute("SELECT current_setting('threads')").fetchone()


def test_without_any_key_no_request_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with contextlib.ExitStack() as stack, pytest.raises(ConfigError, match="there are no keys to sign with"):
        stack.enter_context(opened(load_settings({}, {}).s3, EngineSettings()))
