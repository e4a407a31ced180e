"""Asks the REST service, for the commands that show what it knows."""

from __future__ import annotations

import http.client
import json
from typing import Any, cast

from datafingerprint.config import Api
from datafingerprint.errors import Unavailable

TIMEOUT_S = 10.0


def _headers(api: Api) -> dict[str, str]:
    token = api.token.get_secret_value()
    return {"Authorization": f"Bearer {token}"} if token else {}


def get(api: Api, path: str) -> dict[str, Any]:
    """The answer to a GET.

    Raises:
        Unavailable: the service is away, or answers with an error.
    """
    where = f"http://{api.host}:{api.port}{path}"
    connection = http.client.HTTPConnection(api.host, api.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers=_headers(api))
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(
            "the REST service is away", where=where, remedy=f"start it, or check [api] ({error})"
        ) from None
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise Unavailable(f"the REST service answers {response.status}", where=where, remedy=body.decode()[:200])
    return cast("dict[str, Any]", json.loads(body))
