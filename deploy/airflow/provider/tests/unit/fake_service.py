"""A service that answers as a test says, on a port of its own, and its answers."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "secret-token"


class FakeService:
    """Answers `METHOD path` with what a test puts in: the next document of its list, the last one for ever."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.requests: list[tuple[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                size = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(size)) if size else None
                status, document = service._next(f"{self.command} {self.path}", body, dict(self.headers))
                content = json.dumps(document).encode() if document is not None else b""
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("ETag", '"1"')
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the library's names

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def answer(self, call: str, *documents: Any, status: int = 200) -> None:
        """Puts in what is answered to a call."""
        self.answers[call] = [(status, document) for document in documents]

    def calls(self) -> list[str]:
        """The calls that came in."""
        return [call for call, _ in self.requests]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _next(self, call: str, body: Any, headers: dict[str, str]) -> tuple[int, Any]:
        with self._lock:
            self.requests.append((call, body))
            self.headers.append(headers)
            if headers.get("Authorization") != f"Bearer {TOKEN}":
                return 401, {"error": "the token is missing or wrong: send it as bearer"}
            left = self.answers.get(call)
            if not left:
                return 404, {"error": f"there is no {call}"}
            return left.pop(0) if len(left) > 1 else left[0]


class FakeStore:
    """Airflow's task state store."""

    def __init__(self) -> None:
        self.stored: dict[str, Any] = {}

    def get(self, key: str) -> Any:
        return self.stored.get(key)

    def set(self, key: str, value: Any, *, retention: object = None) -> None:
        assert retention is not None
        self.stored[key] = value


SIDE = {"rows": 3, "fingerprint": "5", "digest": "5f0c22d1b07e4a59803f3fb67151d000"}
OTHER = {"rows": 2, "fingerprint": "4", "digest": "00000000000000000000000000000004"}


def part(name: str, verdict: str = "match", reason: str | None = None) -> dict[str, Any]:
    """A partition of an answer."""
    lake = SIDE if verdict == "match" else OTHER
    return {"partition": name, "verdict": verdict, "reason": reason, "epoch": 7, "source": SIDE, "lake": lake}


def fingerprint(as_of: str | None = "2031-04-02T19:03:11Z", verdict: str = "match", *parts: Any) -> dict[str, Any]:
    """The fingerprint of a table."""
    return {
        "table": "ootp.games",
        "epoch": 7,
        "as_of": as_of,
        "position": {"gtid": "0-1-7", "file": "binlog.000001", "pos": 4},
        "verdict": verdict,
        "reason": None,
        "source": SIDE,
        "lake": SIDE if verdict == "match" else OTHER,
        "partitions": list(parts or [part("league_id=100")]),
    }


def audit(state: str, verdict: str | None = None, *findings: Any, number: int = 17) -> dict[str, Any]:
    """An audit."""
    return {
        "id": number,
        "table": "ootp.games",
        "partition": None,
        "state": state,
        "reason": None,
        "verdict": verdict,
        "asked_at": "2031-04-02T19:00:01Z",
        "findings": list(findings),
    }
