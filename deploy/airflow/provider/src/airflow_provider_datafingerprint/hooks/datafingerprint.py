"""The connection to DataFingerprint's REST service."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import quote

import httpx
from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import BaseHook

from airflow_provider_datafingerprint.calls import VERDICT, Call
from airflow_provider_datafingerprint.errors import (
    DataFingerprintMisused,
    DataFingerprintRefused,
    DataFingerprintUnavailable,
)

PORT = 8000
TIMEOUT_S = 30.0
NOT_MODIFIED = 304
SERVER_ERROR = 500
NEVER_RIGHT = frozenset({400, 401, 403, 404, 405, 413, 414, 421})
"""Refusals that a retry meets again: wrong token, unknown host, table or partition."""


@dataclass(frozen=True)
class Endpoint:
    """Where the service is, and what it asks of callers.

    Attributes:
        url: Scheme, host and port.
        token: The bearer token; empty sends none.
        ui_url: Where people open the dashboard.
        timeout_s: Seconds that one request may take.
        ca_file: Certificates that are trusted; empty: the system's.
    """

    url: str
    token: str = ""
    ui_url: str = ""
    timeout_s: float = TIMEOUT_S
    ca_file: str = ""

    @property
    def client_arguments(self) -> dict[str, Any]:
        """Arguments of either client."""
        return {
            "base_url": self.url,
            "timeout": self.timeout_s,
            "headers": {"Authorization": f"Bearer {self.token}"} if self.token else {},
            "verify": ssl.create_default_context(cafile=self.ca_file) if self.ca_file else True,
            # The service is asked directly: a proxy of the machine's environment must not see the token.
            "trust_env": False,
        }

    def link(self, table: str | None = None) -> str:
        """The dashboard's address, at a table."""
        return f"{(self.ui_url or self.url).rstrip('/')}/" + (f"#{quote(table, safe='.')}" if table else "")


@dataclass(frozen=True)
class Reply:
    """An answer: its document, None where nothing has changed, and its ETag."""

    document: Any
    etag: str = ""


class DataFingerprintHook(BaseHook):
    """Asks DataFingerprint's REST service, with a synchronous or an asynchronous client.

    Args:
        datafingerprint_conn_id: A connection of the type `datafingerprint`: host, port, scheme as schema, and the
            API token as password.
    """

    conn_name_attr = "datafingerprint_conn_id"
    default_conn_name = "datafingerprint_default"
    conn_type = "datafingerprint"
    hook_name = "DataFingerprint"

    def __init__(self, datafingerprint_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.datafingerprint_conn_id = datafingerprint_conn_id

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Fields of the connection's form, for Airflow before 3.2; newer ones read `provider.yaml`."""
        return {
            "hidden_fields": ["login"],
            "relabeling": {"schema": "Scheme (http or https)", "password": "API token"},
            "placeholders": {"host": "dfp.example.com", "port": str(PORT), "schema": "http"},
        }

    @cached_property
    def endpoint(self) -> Endpoint:
        """The service, as the connection describes it."""
        return endpoint_of(self.get_connection(self.datafingerprint_conn_id))

    async def aget_endpoint(self) -> Endpoint:
        """The service; for triggers, whose event loop must not block."""
        return endpoint_of(await get_async_connection(self.datafingerprint_conn_id))

    def get_conn(self) -> httpx.Client:
        """Returns: a client of the service; the caller closes it."""
        return httpx.Client(**self.endpoint.client_arguments)

    def call(self, call: Call) -> Any:
        """Sends a request and returns the document of its answer.

        Raises:
            DataFingerprintUnavailable: no answer, or the service cannot answer now.
            DataFingerprintRefused: the service refuses the request now.
            DataFingerprintMisused: the request cannot succeed.
        """
        with _translated(self.endpoint), self.get_conn() as client:
            return _reply(client.send(_request(client, call))).document

    @asynccontextmanager
    async def aclient(self) -> AsyncIterator[DataFingerprintClient]:
        """An asynchronous client for the length of a block."""
        endpoint = await self.aget_endpoint()
        async with httpx.AsyncClient(**endpoint.client_arguments) as client:
            yield DataFingerprintClient(endpoint, client)

    def test_connection(self) -> tuple[bool, str]:
        """Whether the service answers, and accepts the token."""
        try:
            answer = self.call(VERDICT)
        except Exception as error:  # noqa: BLE001 - the form shows any reason
            return False, str(error)
        return True, f"the verdict is {answer['verdict']} at epoch {answer['epoch']}"


class DataFingerprintClient:
    """The asynchronous client, as triggers use it."""

    def __init__(self, endpoint: Endpoint, client: httpx.AsyncClient) -> None:
        self._endpoint = endpoint
        self._client = client

    async def call(self, call: Call) -> Any:
        """See `DataFingerprintHook.call`."""
        return (await self.reply(call)).document

    async def reply(self, call: Call) -> Reply:
        """As `call`, with the answer's ETag."""
        with _translated(self._endpoint):
            return _reply(await self._client.send(_request(self._client, call)))


def endpoint_of(connection: Any) -> Endpoint:
    """The service that a connection describes.

    Raises:
        DataFingerprintMisused: it names no host, or another scheme.
    """
    host = (connection.host or "").rstrip("/")
    scheme = connection.schema or "http"
    if "://" in host:
        scheme, host = host.split("://", 1)
    if not host or scheme not in ("http", "https"):
        raise DataFingerprintMisused(f"connection {connection.conn_id}: it needs a host, and http or https as schema")
    extra = connection.extra_dejson
    return Endpoint(
        url=f"{scheme}://{host}:{connection.port or PORT}",
        token=connection.password or "",
        ui_url=extra.get("ui_url") or "",
        timeout_s=float(extra.get("timeout_s") or TIMEOUT_S),
        ca_file=extra.get("ca_file") or "",
    )


def _request(client: httpx.Client | httpx.AsyncClient, call: Call) -> httpx.Request:
    return client.build_request(
        call.method, call.path, json=call.body, params=dict(call.query) or None, headers=dict(call.headers)
    )


def _reply(response: httpx.Response) -> Reply:
    etag = response.headers.get("ETag", "")
    if response.status_code == NOT_MODIFIED:
        return Reply(None, etag)
    if response.is_success:
        return Reply(response.json(), etag)
    text = f"{response.request.method} {response.request.url.path}: {response.status_code}: {_reason(response)}"
    if response.status_code >= SERVER_ERROR:
        raise DataFingerprintUnavailable(text)
    if response.status_code in NEVER_RIGHT:
        raise DataFingerprintMisused(text)
    raise DataFingerprintRefused(text)


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200] or response.reason_phrase


@contextmanager
def _translated(endpoint: Endpoint) -> Iterator[None]:
    try:
        yield
    except (httpx.TransportError, httpx.DecodingError) as error:
        raise DataFingerprintUnavailable(
            f"no answer from {endpoint.url}: {type(error).__name__}: {error}; is `datafingerprint serve` running?"
        ) from error
    except ValueError as error:
        raise DataFingerprintUnavailable(f"{endpoint.url} answers no JSON: {error}") from error
