"""The dashboard under each of its addresses, its files, and the page about REST."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from starlette.exceptions import HTTPException

from api.conditional import NOT_MODIFIED, is_named
from api.dependencies import NeedsToken, SharedMatrix
from api.names import NAMES, ONE_NAME
from api.pages import SHELL_POLICY, assets, filled, preloads_html, read_page, read_text
from api.summary import summary_html

OPEN_PATHS = frozenset({"/", "/incidents", "/pipeline", "/docs"})
"""Pages that are answered without a token. They hold no data."""

OPEN_PREFIXES = ("/static/", "/tables/", "/incidents/")
"""Beginnings of more such paths."""

router = APIRouter(tags=["pages"])


@router.get("/", summary="The dashboard", response_class=HTMLResponse)
@router.get(f"/tables/{{table:{ONE_NAME}}}", include_in_schema=False)
@router.get(f"/tables/{{table:{ONE_NAME}}}/{{partition:{NAMES}}}", include_in_schema=False)
@router.get("/incidents", include_in_schema=False)
@router.get(f"/incidents/{{incident:{ONE_NAME}}}", include_in_schema=False)
@router.get("/pipeline", include_in_schema=False)
def dashboard(request: Request, matrix: SharedMatrix, needs_token: NeedsToken) -> HTMLResponse:
    """A live page of all this. It loads nothing from elsewhere."""
    is_allowed = not needs_token or bool(request.state.has_token)
    values = {
        "token": "required" if needs_token else "none",
        "preloads_html": preloads_html(),
        "summary_html": summary_html(matrix, is_allowed=is_allowed),
    }
    page = filled(read_text("dashboard.html"), values)
    return HTMLResponse(page, headers={"Content-Security-Policy": SHELL_POLICY, "Cache-Control": "no-store"})


@router.get("/static/{path:path}", include_in_schema=False)
def static_file(request: Request, path: str) -> Response:
    """A file of the dashboard.

    Browsers ask every time whether it changed, so that an upgrade shows at once.
    """
    asset = assets().get(path)
    if asset is None:
        raise HTTPException(404, f"no file {path} of the dashboard")
    headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}
    if is_named(asset.etag, request.headers.get("if-none-match", "")):
        return Response(status_code=NOT_MODIFIED, headers=headers)
    return Response(asset.content, media_type=asset.media_type, headers=headers)


@router.get("/docs", include_in_schema=False)
def docs() -> HTMLResponse:
    """A page that shows the OpenAPI document. It loads nothing from elsewhere."""
    page = read_page("docs.html")
    return HTMLResponse(page.text, headers={"Content-Security-Policy": page.policy})
