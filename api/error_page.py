"""Errors as a page, for the reader who typed an address into a browser."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import HTMLResponse

from api.pages import SHELL_POLICY, filled, read_text

_DATA_PREFIXES = ("/v1/", "/metrics", "/openapi.json", "/healthz", "/readyz")

_TITLES = {
    HTTPStatus.NOT_FOUND: "There is no such page",
    HTTPStatus.UNAUTHORIZED: "This address needs the token",
    HTTPStatus.MISDIRECTED_REQUEST: "This service is not known under that host",
}


def wants_page(scope: Mapping[str, Any]) -> bool:
    """Whether a browser opens an address that is not one of REST."""
    accept = next((value for name, value in scope["headers"] if name.lower() == b"accept"), b"")
    is_data = str(scope["path"]).startswith(_DATA_PREFIXES)
    return scope["method"] in {"GET", "HEAD"} and b"text/html" in accept and not is_data


def error_page(code: int, text: str, headers: Mapping[str, str] | None = None) -> HTMLResponse:
    """The page of an error."""
    status = HTTPStatus(code)
    page = filled(read_text("error.html"), {"title": _TITLES.get(status, status.phrase), "text": text})
    return HTMLResponse(page, code, {**(headers or {}), "Content-Security-Policy": SHELL_POLICY})
