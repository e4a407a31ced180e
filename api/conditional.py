"""Conditional answers: an ETag of the exact bytes, and 304 for a caller that has them."""

from __future__ import annotations

import hashlib

from fastapi import Request
from fastapi.responses import Response

from api.models import Answer

NOT_MODIFIED = 304
_DIGITS = 32


def conditional_response(request: Request, answer: Answer) -> Response:
    """The answer as JSON with its ETag, or an empty 304 when the caller has it already."""
    body = answer.model_dump_json().encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:_DIGITS]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if is_named(etag, request.headers.get("if-none-match", "")):
        return Response(status_code=NOT_MODIFIED, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


def is_named(etag: str, given: str) -> bool:
    """Whether an `If-None-Match` names an ETag, by the weak comparison of RFC 9110."""
    names = {name.strip().removeprefix("W/") for name in given.split(",")}
    return "*" in names or etag in names
