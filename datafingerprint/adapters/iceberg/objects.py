"""Reads the objects of the lake from the store: their content and their ETags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import IO, Protocol

from botocore.exceptions import ClientError

from datafingerprint.adapters.iceberg.connection import CONNECTIONS, s3_client, store_name
from datafingerprint.adapters.iceberg.errors import translated
from datafingerprint.config import S3
from datafingerprint.errors import FileDamageError

HEADS_MAX = 8
"""Objects of one prefix up to which each gets its own request; more are listed, 1,000 per answer."""

_PIECE_BYTES = 1 << 20

_GONE = frozenset({"NoSuchKey", "404", "NotFound"})


class Objects(Protocol):
    """Reads objects by their full path."""

    def copy(self, path: str, into: IO[bytes]) -> str:
        """Writes the content of an object to a file, and returns its ETag.

        Raises:
            FileDamageError: the object is gone.
        """

    def etags(self, paths: Sequence[str]) -> Mapping[str, tuple[str, int]]:
        """The current ETag and size of objects, without those that are gone."""

    def close(self) -> None:
        """Closes the connections."""


class S3Objects:
    """Objects in S3. Several threads may use it."""

    def __init__(self, s3: S3) -> None:
        self._client = s3_client(s3)
        self._where = store_name(s3)

    def copy(self, path: str, into: IO[bytes]) -> str:
        """Writes the content of an object to a file, and returns the ETag of the same answer.

        Raises:
            FileDamageError: the object is gone.
            LakeError: the store refuses.
            Unavailable: the store is away.
        """
        bucket, key = _bucket_and_key(path)
        with translated(f"reading {path}", where=self._where):
            try:
                answer = self._client.get_object(Bucket=bucket, Key=key)
            except self._client.exceptions.NoSuchKey as error:
                remedy = "restore it, or resync its partition"
                raise FileDamageError(f"file {path} is gone", where=self._where, remedy=remedy) from error
            with closing(answer["Body"]) as body:
                for piece in body.iter_chunks(_PIECE_BYTES):
                    into.write(piece)
                return _unquoted(answer["ETag"])

    def etags(self, paths: Sequence[str]) -> Mapping[str, tuple[str, int]]:
        """The current ETag and size of objects, without those that are gone.

        A listing does not prove that an object is gone, so each missing object gets its own request.
        """
        with translated("reading ETags", where=self._where):
            known: dict[str, tuple[str, int]] = {}
            for prefix, wanted in _by_prefix(paths).items():
                if len(wanted) > HEADS_MAX:
                    known |= self._list(prefix, wanted)
            missing = [path for path in paths if path not in known]
            with ThreadPoolExecutor(min(CONNECTIONS, max(1, len(missing)))) as pool:
                heads = zip(missing, pool.map(self._head, missing), strict=True)
                return known | {path: head for path, head in heads if head is not None}

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def _list(self, prefix: tuple[str, str], wanted: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, int]]]:
        bucket, start = prefix
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start):
            for item in page.get("Contents", []):
                path = wanted.get(item["Key"])
                if path is not None and item.get("ETag"):
                    yield path, (_unquoted(item["ETag"]), item["Size"])

    def _head(self, path: str) -> tuple[str, int] | None:
        bucket, key = _bucket_and_key(path)
        try:
            answer = self._client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _GONE:
                return None
            raise
        return _unquoted(answer["ETag"]), answer["ContentLength"]


def _unquoted(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')


def _bucket_and_key(path: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`. A key may hold any character, so it is not decoded."""
    bucket, _, key = path.partition("://")[2].partition("/")
    return bucket, key


def _by_prefix(paths: Sequence[str]) -> dict[tuple[str, str], dict[str, str]]:
    """Paths grouped by bucket and prefix of the table's data, as key to path."""
    groups: dict[tuple[str, str], dict[str, str]] = {}
    for path in paths:
        bucket, key = _bucket_and_key(path)
        table, data, _ = key.partition("/data/")
        prefix = f"{table}{data}" if data else key.rpartition("/")[0]
        groups.setdefault((bucket, prefix), {})[key] = path
    return groups
