"""Requests to the REST service as values, the same for both clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        method: GET, POST or DELETE.
        path: The path, names in it quoted.
        body: The JSON document; None sends none.
        query: The query's parameters.
        headers: More headers.
    """

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JobKind:
    """A kind of work that the service does on request.

    Attributes:
        name: `audit`, `scan` or `resync`.
        active: States in which it goes on.
        failed: States in which it ended without a result. `done` is the only other one.
        parts: Key of the answer that lists the partitions; empty where there is none.
        is_cancellable: Whether the service can cancel it.
    """

    name: str
    active: frozenset[str]
    failed: frozenset[str]
    parts: str
    is_cancellable: bool

    @property
    def path(self) -> str:
        """The path of all jobs of this kind."""
        return f"/v1/{self.name}s"

    def ask(self, scope: Mapping[str, Any]) -> Call:
        """Starts a job."""
        return Call("POST", self.path, body=scope)

    def get(self, number: int) -> Call:
        """Reads one job."""
        return Call("GET", f"{self.path}/{number}")

    def last(self, limit: int) -> Call:
        """Lists the newest jobs."""
        return Call("GET", self.path, query={"limit": limit})

    def cancel(self, number: int) -> Call:
        """Cancels one job."""
        return Call("DELETE", f"{self.path}/{number}")


AUDIT = JobKind(
    "audit",
    frozenset({"queued", "running", "paused"}),
    frozenset({"failed", "cancelled"}),
    "findings",
    is_cancellable=True,
)
SCAN = JobKind("scan", frozenset({"running"}), frozenset({"failed", "cancelled"}), "partitions", is_cancellable=True)
RESYNC = JobKind("resync", frozenset({"queued", "running"}), frozenset({"failed"}), "", is_cancellable=False)
KINDS = {kind.name: kind for kind in (AUDIT, SCAN, RESYNC)}

STATUS = Call("GET", "/v1/status")
TABLES = Call("GET", "/v1/tables")
VERDICT = Call("GET", "/v1/fingerprints", query={"limit": 1})
"""The verdict on everything, with one table only: the token is checked, and little is sent."""


def fingerprint(table: str) -> Call:
    """Reads both sides of a table and its partitions."""
    return Call("GET", f"/v1/fingerprints/{quote(table, safe='')}")


def fingerprints(*, etag: str = "", verdict: str = "", table: str = "", limit: int = 0) -> Call:
    """Reads both sides of every table; 304 while nothing has changed since `etag`."""
    query: dict[str, str | int] = {"verdict": verdict, "table": table, "limit": limit}
    return Call(
        "GET",
        "/v1/fingerprints",
        query={name: value for name, value in query.items() if value},
        headers={"If-None-Match": etag} if etag else {},
    )
