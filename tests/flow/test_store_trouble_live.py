"""A store whose disk is full is waited for; one that may not be written stops the writer; neither costs a row."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.embedded.ports import free_ports
from deploy.embedded.s3 import S3
from tests.flow.running import Flow
from tests.secure_parts import running

pytestmark = pytest.mark.live

DISK_MB = 48
REFUSED = 2


def store_of(flow: Flow, endpoint: str) -> None:
    """Sends the flow to another store, before anything of it has started."""
    flow.environment["DFP_S3_ENDPOINT"] = endpoint
    flow.settings = flow.settings.model_copy(
        update={"s3": flow.settings.s3.model_copy(update={"endpoint": endpoint})},
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that is soon full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = [shutil.which("mount") or "/bin/mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("a small disk can only be mounted by root")
    try:
        yield folder
    finally:
        subprocess.run([shutil.which("umount") or "/bin/umount", "--lazy", str(folder)], check=True)


def fill(file: Path) -> None:
    with contextlib.suppress(OSError), file.open("wb", buffering=0) as output:
        while True:
            output.write(bytes(4096))


def test_a_full_disk_is_waited_for_and_nothing_is_lost(small_flow: Flow, small_disk: Path, tmp_path: Path) -> None:
    own = small_flow.settings.s3
    part = S3(small_disk / "s3", free_ports(1)[0], own.access_key, own.secret_key.get_secret_value(), own.bucket)
    with running(part, tmp_path):
        store_of(small_flow, part.endpoint)
        small_flow.start()
        small_flow.settle()
        fill(small_disk / "filler")
        small_flow.sql(f"INSERT INTO {small_flow.schema}.notes VALUES (1, 'while the disk is full')")
        writer = small_flow.service("lake_writer")
        writer.await_saying("event=unavailable", within_s=90.0)
        line = next(item for item in writer.text.splitlines() if "event=unavailable" in item)
        assert "the store is away" in line
        assert "Traceback" not in writer.text
        (small_disk / "filler").unlink()
        small_flow.settle()
        assert small_flow.assert_equal() == 70
        small_flow.assert_all_match()
        for name in ("cdc", "lake_writer", "fingerprinter"):
            assert small_flow.service(name).end() == 0


class Denying(BaseHTTPRequestHandler):
    """Hands everything on to a store but what would change it: that it answers as a bucket's policy does."""

    protocol_version = "HTTP/1.1"
    behind = ""

    def do_GET(self) -> None:
        connection = http.client.HTTPConnection(self.behind, timeout=30)
        with contextlib.closing(connection):
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read()
        self._answer(answer.status, dict(answer.getheaders()), body)

    do_HEAD = do_GET  # noqa: N815 - as above

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self._answer(403, {"Content-Type": "application/xml"}, body)

    do_POST = do_DELETE = do_PUT  # noqa: N815 - as above

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        kept = {
            name: value for name, value in headers.items() if name.lower() not in {"transfer-encoding", "connection"}
        }
        if not any(name.lower() == "content-length" for name in kept):
            kept["Content-Length"] = str(len(body))
        for name, value in kept.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_given: object) -> None:
        """Says nothing."""


@pytest.fixture
def denying(small_flow: Flow) -> Iterator[str]:
    """The URL of a store that may be read, and not written."""
    handler = type("Handler", (Denying,), {"behind": small_flow.settings.s3.endpoint.removeprefix("http://")})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_bucket_that_may_not_be_written_stops_the_writer_and_costs_nothing(small_flow: Flow, denying: str) -> None:
    small_flow.start("cdc")
    writer = small_flow.service("lake_writer", label="denied")
    writer.start(DFP_S3_ENDPOINT=denying)
    assert writer.wait(90.0) == REFUSED
    (line,) = [item for item in writer.text.splitlines() if "level=error" in item]
    assert "the store refused" in line
    assert "remedy=check [s3] access_key and secret_key, and their permissions for the bucket" in line
    assert "Traceback" not in writer.text
    small_flow.start("lake_writer", "fingerprinter")
    small_flow.settle()
    assert small_flow.assert_equal() == 69
    small_flow.assert_all_match()
