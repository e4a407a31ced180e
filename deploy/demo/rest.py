"""A client of the REST service."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any, cast

from deploy.demo.answers import Comparison, Status, read_comparisons, read_status
from deploy.embedded.part import HOST

TIMEOUT_S = 10.0


class NoAnswer(Exception):  # noqa: N818 - a state of the service, which may pass
    """The REST service is unavailable, or has no data yet."""


@dataclass(frozen=True)
class Rest:
    """The REST service on this machine.

    Attributes:
        port: Its port.
    """

    port: int

    def status(self) -> Status:
        """The system in one line.

        Raises:
            NoAnswer: there is no answer now; try again.
        """
        return read_status(self._get("/v1/status"))

    def comparisons(self) -> list[Comparison]:
        """Every table and partition.

        Raises:
            NoAnswer: there is no answer now; try again.
        """
        return read_comparisons(self._get("/v1/fingerprints"))

    def _get(self, path: str) -> dict[str, Any]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=TIMEOUT_S)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"GET {path}: {error}") from None
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise NoAnswer(f"GET {path}: status {response.status}")
        return cast("dict[str, Any]", json.loads(body))
