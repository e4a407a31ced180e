"""The paths about callers: who asks, and what was done."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.exceptions import HTTPException

from api.answers import ID_MAX, INVALID, moment
from api.dependencies import Actions, CurrentCaller, NeedsToken
from api.models import Answer, ErrorAnswer
from datafingerprint.ports.tokens import Action
from datafingerprint.tokens import Role

PAGE_MAX = 1000
FORBIDDEN = 403
_REFUSED: dict[int | str, dict[str, Any]] = {
    FORBIDDEN: {"model": ErrorAnswer, "description": "The token is a viewer's."}
}


class CallerAnswer(Answer):
    """Who asks."""

    name: str = Field(description="Name of the token; `api.token` for that of the settings, `anonymous` without one")
    role: Literal["viewer", "operator"]
    expires_at: datetime | None = Field(description="From when on the token is refused; null: never")
    needs_token: bool = Field(description="Whether this service answers callers with a token only")


class ActionAnswer(Answer):
    """A change that somebody requested."""

    id: int = Field(examples=[12])
    at: datetime
    who: str = Field(description="Name of the token", examples=["night shift"])
    role: str = Field(description="Role of the token; empty for a command", examples=["operator"])
    address: str = Field(description="Where the request came from; empty for a command")
    method: str = Field(examples=["POST"])
    path: str = Field(examples=["/v1/audits"])
    detail: str = Field(description="The first 1,000 characters of the body")
    status: int | None = Field(description="Status of the answer; null where there was none", examples=[202])


class ActionsAnswer(Answer):
    """A page of actions, newest first."""

    items: list[ActionAnswer]
    next_before: int | None = Field(description="`before` of the next page; null on the last one")


router = APIRouter(prefix="/v1", tags=["operation"])


@router.get("/caller", summary="Who asks")
def caller(who: CurrentCaller, needs_token: NeedsToken) -> CallerAnswer:
    """The token's name, its role, and when it expires."""
    expires_at = None if who.expires_at is None else moment(who.expires_at)
    return CallerAnswer(name=who.name, role=who.role.value, expires_at=expires_at, needs_token=needs_token)


@router.get("/actions", summary="Who did what, newest first", responses={**_REFUSED, **INVALID})
def all_actions(
    who: CurrentCaller,
    actions: Actions,
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Most actions of an answer")] = 100,
    before: Annotated[int | None, Query(ge=1, le=ID_MAX, description="Only actions with a lower id")] = None,
) -> ActionsAnswer:
    """The last 10,000 changes by callers and by `datafingerprint tokens`.

    Needs the token of an operator.
    """
    if who.role is not Role.OPERATOR:
        raise HTTPException(FORBIDDEN, f"the token {who.name} is a viewer's: this needs the token of an operator")
    page = actions.actions(limit=limit + 1, before=before)
    return ActionsAnswer(
        items=[_action(action) for action in page[:limit]],
        next_before=page[limit - 1].number if len(page) > limit else None,
    )


def _action(action: Action) -> ActionAnswer:
    return ActionAnswer(
        id=action.number,
        at=moment(action.at),
        who=action.who,
        role=action.role,
        address=action.address,
        method=action.method,
        path=action.path,
        detail=action.detail,
        status=action.status,
    )
