"""Answers HEAD wherever GET is answered: the same status and headers, without a body."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

IS_HEAD = "is_head"
"""Key of the scope of a HEAD request, for routes whose answer has no end."""


class HeadAsGet:
    """Middleware that answers HEAD by the route of GET. The OpenAPI document does not change."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes requests with other methods on unchanged."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            is_body = message["type"] == "http.response.body"
            await send({**message, "body": b""} if is_body else message)

        await self._app({**scope, "method": "GET", IS_HEAD: True}, receive, send_without_body)
