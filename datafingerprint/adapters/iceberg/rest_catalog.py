"""A REST catalog: Iceberg's open API, as Polaris, Lakekeeper, Gravitino and others serve it."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.rest.response import _handle_non_200_response
from pyiceberg.exceptions import AuthorizationExpiredError, NoSuchTableError, ServerError, UnauthorizedError
from pyiceberg.io import FileIO
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import EMPTY_DICT, Properties
from requests import HTTPError, Response, Session

from datafingerprint.config import S3, Lake

CONNECT_TIMEOUT_S = 3.05
READ_TIMEOUT_S = 30.0

_TABLE_PATH = "namespaces/{namespace}/tables/{table}"


class LakeRestCatalog(RestCatalog):
    """A REST catalog whose tables are read and written with the keys of `[s3]`.

    Every request has a timeout. None is repeated, except after a refusal of its token, which did nothing.

    Args:
        name: The catalog's name in this process.
        io: Access to the files of all tables.
        properties: The options of pyiceberg.
    """

    def __init__(self, name: str, io: FileIO, **properties: Any) -> None:  # noqa: ANN401 - pyiceberg's options
        self._io = io
        self._known: dict[tuple[str, str], tuple[str, str]] = {}
        self._known_lock = threading.Lock()
        super().__init__(name, **properties)

    def _create_session(self) -> Session:
        session = super()._create_session()
        timeout = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
        session.request = functools.partial(session.request, timeout=timeout)  # type: ignore[method-assign]
        return session

    def _load_file_io(self, properties: Properties = EMPTY_DICT, location: str | None = None) -> FileIO:  # noqa: ARG002 - the server's keys would expire
        return self._io

    @staticmethod
    def _delete_old_metadata(io: FileIO, base: TableMetadata, metadata: TableMetadata) -> None:
        """Does nothing, because the server wrote those files.

        The orphan cleaner removes what the server leaves.
        """

    def metadata_location(self, name: tuple[str, str]) -> str | None:
        """The location of a table's current metadata; None for a missing table.

        The request names the version that was read last, so a server that knows versions (ETag) answers without a body.
        """
        with self._known_lock:
            etag, location = self._known.get(name, ("", ""))
        response = self._conditional_load(name, etag)
        if response.status_code == HTTPStatus.NOT_MODIFIED and etag:
            return location
        if response.status_code == HTTPStatus.NOT_FOUND:
            self._forget(name)
            return None
        location = _location_in(response)
        with self._known_lock:
            self._known[name] = (response.headers.get("ETag", ""), location)
        return location

    def _forget(self, name: tuple[str, str]) -> None:
        with self._known_lock:
            self._known.pop(name, None)

    def _conditional_load(self, name: tuple[str, str], etag: str) -> Response:
        url = self.url(_TABLE_PATH, prefixed=True, **self._split_identifier_for_path(name))
        headers = {"If-None-Match": etag} if etag else {}
        # Only the snapshots of branches: the whole history is read from the metadata object itself.
        response = self._session.get(url, params={"snapshots": "refs"}, headers=headers)
        if response.status_code in (HTTPStatus.UNAUTHORIZED, _EXPIRED):
            self._refresh_token()
            response = self._session.get(url, params={"snapshots": "refs"}, headers=headers)
        if response.status_code not in (HTTPStatus.NOT_MODIFIED, HTTPStatus.NOT_FOUND):
            _raise_for_status(response)
        return response


_EXPIRED = 419
_REFUSED: Mapping[int, type[Exception]] = {401: UnauthorizedError, _EXPIRED: AuthorizationExpiredError}


def _raise_for_status(response: Response) -> None:
    try:
        response.raise_for_status()
    except HTTPError as error:
        _handle_non_200_response(error, {404: NoSuchTableError, **_REFUSED})


def _location_in(response: Response) -> str:
    try:
        location = json.loads(response.content).get("metadata-location")
    except (ValueError, AttributeError):
        location = None
    if not isinstance(location, str) or not location:
        raise ServerError("the answer names no metadata-location")
    return location


def open_rest_catalog(name: str, lake: Lake, s3: S3, io: FileIO) -> LakeRestCatalog:
    """Open the REST catalog that `lake.catalog` names.

    Raises:
        RESTError: the server refuses the login, or is away.
        OSError: the server cannot be reached.
    """
    return LakeRestCatalog(name, io, **rest_properties(lake, s3))


def rest_properties(lake: Lake, s3: S3) -> dict[str, Any]:
    """The options of pyiceberg for the settings; those of `lake.catalog_options` have priority."""
    uri = lake.catalog.get_secret_value().rstrip("/")
    secret = lake.catalog_password.get_secret_value()
    options = lake.options
    properties: dict[str, Any] = {"uri": uri, "header.X-Iceberg-Access-Delegation": ""}
    if lake.catalog_warehouse:
        properties["warehouse"] = lake.catalog_warehouse
    if lake.catalog_user:
        properties |= {"credential": f"{lake.catalog_user}:{secret}", "oauth2-server-uri": f"{uri}/v1/oauth/tokens"}
    elif secret:
        properties["token"] = secret
    if lake.catalog_ca_file:
        properties["ssl"] = {"cabundle": lake.catalog_ca_file}
    if options.get("rest.sigv4-enabled", "").lower() == "true":
        properties |= _signing(s3)
    return {**properties, **options}


def _signing(s3: S3) -> dict[str, str]:
    """Signs requests with the keys of `[s3]`. A request of a commit must not be repeated."""
    keys = {
        "client.access-key-id": s3.access_key,
        "client.secret-access-key": s3.secret_key.get_secret_value(),
        "client.session-token": s3.session_token.get_secret_value(),
    }
    given = {name: value for name, value in keys.items() if value}
    return {"rest.signing-region": s3.region, "rest.sigv4.max-retries": "0", "client.region": s3.region, **given}
