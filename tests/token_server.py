"""A small OAuth server for tests: it gives unsecured tokens to one client (client credentials)."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs


def unsecured_token(subject: str, life_s: float, scope: str = "") -> str:
    """A token without a signature (RFC 7515, A.5), as Kafka's own validator for development takes it."""
    now = time.time()
    claims = {"sub": subject, "iat": now, "exp": now + life_s, **({"scope": scope} if scope else {})}
    return ".".join((_part({"alg": "none"}), _part(claims), ""))


def _part(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


@dataclass
class TokenServer:
    """What the server gives, and what it was asked.

    Attributes:
        client: The client's id, which is the subject of its tokens.
        secret: Its secret.
        life_s: The life of a token; that of the next ones may be changed.
        status: The status of the next answers; other than 200 gives no token.
        body: The next answers instead of a token; None gives tokens.
        scopes: The scope of each request.
        url: Its URL.
    """

    client: str
    secret: str
    life_s: float = 3_600.0
    status: int = 200
    body: bytes | None = None
    scopes: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, login: str, form: str) -> tuple[int, bytes]:
        """Status and body."""
        fields = parse_qs(form)
        self.scopes.append(fields.get("scope", [""])[0])
        expected = "Basic " + base64.b64encode(f"{self.client}:{self.secret}".encode()).decode()
        if login != expected or fields.get("grant_type") != ["client_credentials"]:
            return 401, b'{"error": "invalid_client"}'
        if self.body is not None or self.status != 200:
            return self.status, self.body or b""
        token = unsecured_token(self.client, self.life_s, self.scopes[-1])
        return 200, json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": self.life_s}).encode()


@contextlib.contextmanager
def token_server(client: str, secret: str) -> Iterator[TokenServer]:
    """A running server."""
    made = TokenServer(client, secret)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, body = made.answer(self.headers.get("Authorization", ""), form)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}/token"
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
