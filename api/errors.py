"""How errors are answered: every one as `{"error": one sentence}`."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.error_page import error_page, wants_page
from api.guard import ErrorResponse
from api.models import ErrorAnswer
from datafingerprint.errors import DataFingerprintError, Unavailable

NOT_JSON = "send JSON, with the header Content-Type: application/json"

NAME_SHOWN_MAX = 100
"""Characters of a parameter's name that an error shows. The name may be the caller's own."""

SERVER_ERROR = 500
UNAVAILABLE = 503

RESPONSES: Mapping[int | str, dict[str, Any]] = MappingProxyType(
    {
        code: {"model": ErrorAnswer, "description": description}
        for code, description in {
            400: "The body cannot be read.",
            401: "The token is missing, wrong, expired or revoked.",
            403: "A page of another site requests a change, or the token is a viewer's.",
            413: "The body is too long.",
            414: "The address is too long.",
            421: "The service is not known under that host.",
            429: "Too many wrong tokens came from this address. Retry-After has the seconds to wait.",
            503: "The state store is away. Try again.",
        }.items()
    }
)
"""Errors that any path may answer, for the OpenAPI document."""


async def _refused(request: Request, error: HTTPException) -> Response:
    if wants_page(request.scope):
        return error_page(error.status_code, _detail(request, error), error.headers)
    return ErrorResponse(error.status_code, _detail(request, error), error.headers)


async def _invalid(request: Request, error: RequestValidationError) -> ErrorResponse:
    problems = [_problem(problem) for problem in error.errors()]
    is_about_body = any(problem["loc"][0] == "body" for problem in error.errors())
    if is_about_body and not request.headers.get("content-type", "").startswith("application/json"):
        problems.append(NOT_JSON)
    return ErrorResponse(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(problems))


async def _failed(_request: Request, error: DataFingerprintError) -> ErrorResponse:
    if isinstance(error, Unavailable):
        return ErrorResponse(UNAVAILABLE, str(error), {"Retry-After": "1"})
    return ErrorResponse(SERVER_ERROR, str(error))


async def _unexpected(_request: Request, _error: Exception) -> ErrorResponse:
    return ErrorResponse(SERVER_ERROR, "the service failed; its log names the cause")


HANDLERS: Mapping[int | type[Exception], Any] = MappingProxyType(
    {
        HTTPException: _refused,
        RequestValidationError: _invalid,
        DataFingerprintError: _failed,
        Exception: _unexpected,
    }
)
"""The handler of each kind of error, for FastAPI."""


def _problem(problem: Mapping[str, Any]) -> str:
    """A problem that pydantic found, as half a sentence that begins with the parameter's name."""
    if problem["type"] == "json_invalid":
        return f"body: no JSON, at character {problem['loc'][-1]}: {problem.get('ctx', {}).get('error', '')}"
    message = f"{problem['msg'][:1].lower()}{problem['msg'][1:]}"
    return f"{str(problem['loc'][-1])[:NAME_SHOWN_MAX]}: {message}"


def _detail(request: Request, error: HTTPException) -> str:
    """The sentence of an error. The router's own errors only repeat the name of their status."""
    path = unquote(request.scope["path"])
    if error.detail != HTTPStatus(error.status_code).phrase:
        return str(error.detail)
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        return f"{path} takes {(error.headers or {}).get('Allow', 'other methods')}, not {request.method}"
    return f"there is no {path}; /openapi.json describes every path"
