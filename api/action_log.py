"""Records who requests a change, before it is done."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import Caller, code_of
from api.guard import SAFE_METHODS, ErrorResponse, address_of
from datafingerprint.errors import DataFingerprintError
from datafingerprint.ports.tokens import Action, ActionLog

DETAIL_CHARACTERS_MAX = 1_000
"""Most characters of a request's body that are kept."""


class RecordActions:
    """ASGI middleware inside the guard. What cannot be recorded is not done.

    Args:
        app: Does what was requested.
        actions: The record.
        clock: Unix time in seconds.
    """

    def __init__(self, app: ASGIApp, actions: ActionLog, clock: Callable[[], float]) -> None:
        self._app = app
        self._actions = actions
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stores the action, lets it be done, and stores the status of the answer."""
        if scope["type"] != "http" or scope["method"] in SAFE_METHODS or scope["state"]["caller"] is None:
            await self._app(scope, receive, send)
            return
        action = _action(scope, self._clock())
        try:
            number = await run_in_threadpool(self._actions.begin, action)
        except DataFingerprintError as error:
            text = f"nothing was done, because it cannot be recorded: {error}"
            await ErrorResponse(code_of(error), text, {"Retry-After": "1"})(scope, receive, send)
            return
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)

        async def send_and_note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_note_status)
        finally:
            await run_in_threadpool(self._end, replace(action, number=number, status=status))

    def _end(self, action: Action) -> None:
        log: structlog.stdlib.BoundLogger = structlog.get_logger(service="api")
        fields = {"who": action.who, "role": action.role, "address": action.address, "method": action.method}
        log.info("action", action=action.number, path=action.path, status=action.status, **fields)
        try:
            self._actions.end(action.number, action.status or 0)
        except DataFingerprintError as error:
            log.warning("the status of an action was not stored", action=action.number, why=str(error))


def _action(scope: Scope, now: float) -> Action:
    caller: Caller = scope["state"]["caller"]
    body: bytes = scope["state"]["body"]
    detail = body.decode("utf-8", "replace").replace("\0", "\ufffd")[:DETAIL_CHARACTERS_MAX]
    return Action(now, caller.name, caller.role.value, address_of(scope), scope["method"], scope["path"], detail)
