"""Checks every request before its route: host, size, origin and token."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Collection, Mapping, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import Access, Checked
from api.error_page import error_page, wants_page
from datafingerprint.tokens import Role

BODY_BYTES_MAX = 65_536
TARGET_BYTES_MAX = 32_768
ADDRESS_CHARACTERS_MAX = 64

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
"""Headers of every answer, unless the route sets its own."""

ANY_HOST = "*"
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing. All others need an operator."""

_KEPT_IN_A_SEGMENT = "!$&'()*+,;=:@"
"""Characters that RFC 3986 allows in a segment, in addition to letters, digits and `-._~`."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """The host names that requests may use.

    Another site can point its own name at this machine (DNS rebinding). A browser then takes both for one origin,
    but its requests still carry the other site's name.

    Attributes:
        bound: The address that the service listens on.
        allowed: More names, such as a proxy's. `*` allows any.
    """

    bound: str = "127.0.0.1"
    allowed: Collection[str] = ()

    def has(self, host: str) -> bool:
        """Whether a name or address, without a port, is one of ours."""
        name = host.lower().rstrip(".")
        if name in _LOOPBACK_NAMES or name == self.bound.lower() or ANY_HOST in self.allowed:
            return True
        if name in {allowed.lower().strip("[]").rstrip(".") for allowed in self.allowed}:
            return True
        address = _address(name)
        if address is None:
            return False
        bound = _address(self.bound)
        # An address in a URL is resolved by no name, so no other site can use it.
        return address.is_loopback or (bound is not None and (address == bound or bound.is_unspecified))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def host_of(authority: str) -> str:
    """The host of `host:port`, without brackets. Empty for anything but a plain authority."""
    try:
        parts = urlsplit(f"//{authority}")
        is_plain = parts.netloc == authority and "@" not in authority and (parts.port is None or parts.port >= 0)
    except ValueError:
        return ""
    return (parts.hostname or "") if is_plain else ""


def canonical_path(scope: Mapping[str, Any]) -> str:
    """The path, each segment in one canonical encoding: `%2F` in a name is no separator."""
    raw: bytes | None = scope.get("raw_path")
    if raw is None:
        return quote(str(scope["path"]), safe=f"/{_KEPT_IN_A_SEGMENT}")
    segments = raw.partition(b"?")[0].split(b"/")
    return "/".join(quote(unquote_to_bytes(segment), safe=_KEPT_IN_A_SEGMENT) for segment in segments)


class ErrorResponse(Response):
    """`{"error": one sentence}`, for any characters that the sentence quotes from a request."""

    media_type = "application/json"

    def __init__(self, code: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text, int(code), {**SECURITY_HEADERS, **(headers or {})})

    def render(self, content: object) -> bytes:
        """The document. Half of a surrogate pair, which UTF-8 cannot hold, is shown as an escape."""
        return json.dumps({"error": content}, ensure_ascii=False).encode("utf-8", "backslashreplace")


class Refusal(Exception):  # noqa: N818 - an answer, not a failure
    """An answer that is sent before any route runs."""

    def __init__(self, code: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.headers = headers or {}


class Guard:
    """ASGI middleware that refuses requests.

    Args:
        app: Answers the requests that pass.
        hosts: Host names that requests may use.
        access: Checks the token that a request brings.
        open_paths: Paths that are answered without a token.
        open_prefixes: Beginnings of more such paths.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Hosts,
        access: Access,
        open_paths: Collection[str],
        open_prefixes: Collection[str] = (),
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._access = access
        self._open_paths = frozenset(open_paths)
        self._open_prefixes = tuple(open_prefixes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a refused request itself, and passes on any other."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        path = canonical_path(scope)
        headers = _joined_headers(scope)
        authorization = headers.get("authorization", "")
        if self._access.is_stale and (authorization or not self._is_open(path)):
            await run_in_threadpool(self._access.refresh)
        try:
            self._require_place(scope, headers)
            checked = self._access.check(authorization, address_of(scope))
            self._require_caller(scope, path, checked)
            body = await _read_body(receive, headers.get("content-length", ""))
        except Refusal as refusal:
            answer = error_page if wants_page(scope) else ErrorResponse
            await answer(refusal.code, refusal.text, {**SECURITY_HEADERS, **refusal.headers})(scope, receive, send)
            return
        known = {"has_token": checked.has_token, "caller": checked.caller, "body": body}
        state = {**scope.get("state", {}), **known}
        await self._app({**scope, "path": path, "state": state}, _replayed(body, receive), _with_headers(send))

    def _require_place(self, scope: Scope, headers: Mapping[str, str]) -> None:
        """Refuses addresses that are too long, and requests to or from another site."""
        if len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"") > TARGET_BYTES_MAX:
            raise Refusal(HTTPStatus.REQUEST_URI_TOO_LONG, f"the address is longer than {TARGET_BYTES_MAX} bytes")
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) > 1 or not all(self._hosts.has(host_of(host)) for host in hosts):
            text = "this service is not known under that host: add it to the setting api.allowed_hosts"
            raise Refusal(HTTPStatus.MISDIRECTED_REQUEST, text)
        origin = headers.get("origin")
        if scope["method"] not in SAFE_METHODS and origin is not None and not self._is_own(origin):
            text = "a page of another site may not change anything here: api.allowed_hosts names the sites that may"
            raise Refusal(HTTPStatus.FORBIDDEN, text)

    def _require_caller(self, scope: Scope, path: str, checked: Checked) -> None:
        """Refuses callers without a token, and viewers who request a change."""
        if checked.caller is None and not self._is_open(path):
            headers = {"WWW-Authenticate": "Bearer"} if checked.code == HTTPStatus.UNAUTHORIZED else {}
            if checked.retry_after_s:
                headers["Retry-After"] = str(checked.retry_after_s)
            raise Refusal(checked.code, checked.problem, headers)
        if scope["method"] not in SAFE_METHODS and checked.caller is not None and checked.caller.role is Role.VIEWER:
            text = f"the token {checked.caller.name} is a viewer's: a change needs the token of an operator"
            raise Refusal(HTTPStatus.FORBIDDEN, text)

    def _is_open(self, path: str) -> bool:
        return path in self._open_paths or path.startswith(self._open_prefixes)

    def _is_own(self, origin: str) -> bool:
        scheme, _, authority = origin.partition("://")
        return scheme in {"http", "https"} and self._hosts.has(host_of(authority))


def address_of(scope: Scope) -> str:
    """Where a request comes from. Empty where the server does not say.

    On loopback it is what `X-Forwarded-For` says, which may be any text.
    """
    client = scope.get("client")
    return str(client[0])[:ADDRESS_CHARACTERS_MAX] if client else ""


def _joined_headers(scope: Scope) -> MutableMapping[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in reversed(scope["headers"])}


async def _read_body(receive: Receive, announced: str) -> bytes:
    """Reads the whole body.

    Raises:
        Refusal: The body is longer than any request needs.
    """
    if announced.isdecimal() and int(announced[:20]) > BODY_BYTES_MAX:
        raise _too_long()
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            raise _too_long()
        if not message.get("more_body", False):
            return bytes(body)


def _too_long() -> Refusal:
    return Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {BODY_BYTES_MAX} bytes")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A receiver of the body that was read already, and then of the client's next messages."""
    is_replayed = False

    async def replay() -> Message:
        nonlocal is_replayed
        if is_replayed:
            return await receive()
        is_replayed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _with_headers(send: Send) -> Send:
    """A sender that adds the headers of every answer."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message.get("headers", [])}
            wanted = [(name.lower().encode(), value.encode()) for name, value in SECURITY_HEADERS.items()]
            missing = [(name, value) for name, value in wanted if name not in present]
            message = {**message, "headers": [*message.get("headers", []), *missing]}
        await send(message)

    return send_with_headers
