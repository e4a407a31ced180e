"""The objects of the lake as the store holds them: their bytes, and their ETags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import IO, Protocol

from botocore.exceptions import ClientError

from datafingerprint.adapters.lake_connection import CONNECTIONS, s3_client, store_name
from datafingerprint.adapters.lake_errors import translated
from datafingerprint.config import S3
from datafingerprint.errors import FileDamageError

HEADS_MAX = 8
"""Objects below one prefix that are asked for one by one; more are listed, a thousand an answer."""

_PIECE_OCTETS = 1 << 20

_GONE = frozenset({"NoSuchKey", "404", "NotFound"})


class Objects(Protocol):
    """Reads objects by their full path."""

    def copy(self, path: str, into: IO[bytes]) -> str:
        """Writes the bytes of an object into a file; returns the ETag of these very bytes.

        Raises:
            FileDamageError: the object is gone.
        """

    def etags(self, paths: Sequence[str]) -> Mapping[str, tuple[str, int]]:
        """The present ETag and size of objects; those that are gone are left out."""

    def close(self) -> None:
        """Ends the connections."""


class S3Objects:
    """Objects in S3; may be used by several threads."""

    def __init__(self, s3: S3) -> None:
        self._client = s3_client(s3)
        self._where = store_name(s3)

    def copy(self, path: str, into: IO[bytes]) -> str:
        """Writes the bytes of an object into a file; returns the ETag of the same answer.

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
                for piece in body.iter_chunks(_PIECE_OCTETS):
                    into.write(piece)
                return _plain(answer["ETag"])

    def etags(self, paths: Sequence[str]) -> Mapping[str, tuple[str, int]]:
        """The present ETag and size of objects; those that are gone are left out.

        A listing is never the proof that an object is gone: what it does not show is asked for by itself.
        """
        with translated("looking at the objects", where=self._where):
            found: dict[str, tuple[str, int]] = {}
            for prefix, wanted in _by_prefix(paths).items():
                if len(wanted) > HEADS_MAX:
                    found |= self._listed(prefix, wanted)
            missing = [path for path in paths if path not in found]
            with ThreadPoolExecutor(min(CONNECTIONS, max(1, len(missing)))) as pool:
                heads = zip(missing, pool.map(self._head, missing), strict=True)
                return found | {path: head for path, head in heads if head is not None}

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def _listed(self, prefix: tuple[str, str], wanted: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, int]]]:
        bucket, start = prefix
        for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=start):
            for item in page.get("Contents", []):
                path = wanted.get(item["Key"])
                if path is not None and item.get("ETag"):
                    yield path, (_plain(item["ETag"]), item["Size"])

    def _head(self, path: str) -> tuple[str, int] | None:
        bucket, key = _bucket_and_key(path)
        try:
            answer = self._client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _GONE:
                return None
            raise
        return _plain(answer["ETag"]), answer["ContentLength"]


def _plain(etag: str) -> str:
    return etag.removeprefix("W/").strip('"')


def _bucket_and_key(path: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`; a key may hold any character, so nothing is decoded."""
    bucket, _, key = path.partition("://")[2].partition("/")
    return bucket, key


def _by_prefix(paths: Sequence[str]) -> dict[tuple[str, str], dict[str, str]]:
    """Paths by bucket and the prefix that their table's data has; key to path in each."""
    groups: dict[tuple[str, str], dict[str, str]] = {}
    for path in paths:
        bucket, key = _bucket_and_key(path)
        table, data, _ = key.partition("/data/")
        prefix = f"{table}{data}" if data else key.rpartition("/")[0]
        groups.setdefault((bucket, prefix), {})[key] = path
    return groups
