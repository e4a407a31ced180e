"""Claims a server id, so that two captures never end each other's connections.

A server that gets a dump request ends the connection of any other replica with the same server id. No list of the
server shows which id a connection uses. So each capture holds two named locks on the connection of its dump: one for
the id, one for the id with its stream. `GET_LOCK` needs no privilege.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pymysql
import structlog

from datafingerprint.errors import SourceError
from datafingerprint.replica_number import derived_number, number_lock, stream_lock

_LISTS = ("SHOW REPLICAS", "SHOW SLAVE HOSTS")
"""Statements that list registered replicas, the newer one first."""

_SYNTAX = 1064
_CLOSED_WITHIN_S = 1
"""Seconds within which a server notices a closed connection: it sends several heartbeats a second."""

_ENDED_WITHIN_S = 10
_REMEDY = "remove [source] server_id, so that capture derives one from its stream, or set an unused number"


@dataclass(frozen=True, slots=True)
class Replicas:
    """The server ids in use.

    Attributes:
        own: The id of the server itself.
        registered: The ids of registered replicas; None when the account may not list them.
    """

    own: int
    registered: frozenset[int] | None

    @property
    def taken(self) -> frozenset[int]:
        """All ids in use."""
        return (self.registered or frozenset()) | {self.own}


def read_replicas(connection: pymysql.Connection) -> Replicas:
    """Read the server's own id and the ids of its replicas."""
    own = _value(connection, "SELECT @@GLOBAL.server_id")
    return Replicas(own or 0, _registered(connection))


def _registered(connection: pymysql.Connection) -> frozenset[int] | None:
    for statement in _LISTS:
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return frozenset(int(row[0]) for row in cursor.fetchall())
        except pymysql.MySQLError as error:
            if not error.args or error.args[0] != _SYNTAX:
                return None
    return None


def chosen_number(setting: int, stream_id: str, replicas: Replicas, where: str) -> int:
    """Choose the server id of a capture.

    Args:
        setting: `[source] server_id`; 0 derives an id.
        stream_id: The captured stream.
        replicas: The ids in use.
        where: The server's address, for errors.

    Raises:
        SourceError: the configured id is in use.
    """
    if not setting:
        return derived_number(stream_id, replicas.taken)
    if setting == replicas.own:
        raise SourceError(f"source.server_id {setting} is the source's own", where=where, remedy=_REMEDY)
    if setting in replicas.taken:
        raise SourceError(f"source.server_id {setting} is used by a replica of the source", where=where, remedy=_REMEDY)
    return setting


def require_free(connection: pymysql.Connection, number: int, stream_id: str, where: str) -> None:
    """Check that no other stream uses a server id. Changes nothing.

    A server without named locks passes the check.

    Raises:
        SourceError: another stream uses the id.
    """
    try:
        holder = _holder(connection, number_lock(number))
        own = _holder(connection, stream_lock(number, stream_id))
    except pymysql.NotSupportedError:
        return
    if holder is not None and holder != own:
        raise _taken(number, holder, where)


@dataclass(frozen=True, slots=True)
class Claimant:
    """A capture that claims a server id.

    Attributes:
        setting: `[source] server_id`; 0 derives an id.
        stream_id: The captured stream.
        where: The server's address, for errors.
        log: The log for warnings; None logs none.
    """

    setting: int
    stream_id: str
    where: str
    log: structlog.stdlib.BoundLogger | None = None


def claim(connection: pymysql.Connection, claimant: Claimant, evict: Callable[[int], None]) -> int:
    """Claim a server id for the life of a connection.

    1. Choose an id that neither the server nor a registered replica uses.
    2. Take the stream's lock. Another connection that holds it belongs to a capture that Kafka has fenced off, or is
       left of one that died. The server ends that connection, and a living capture learns the reason.
    3. Take the id's lock. If another stream holds it, the claim is refused.

    Args:
        connection: The connection of the dump.
        claimant: The capture that claims the id.
        evict: Makes the server end every connection that uses an id.

    Returns:
        The id.

    Raises:
        SourceError: the id is in use.
    """
    number = chosen_number(claimant.setting, claimant.stream_id, read_replicas(connection), claimant.where)
    try:
        is_ours = _lock(connection, number, claimant, evict)
        reason = "" if is_ours else "another connection of this stream still holds it"
    except pymysql.NotSupportedError as error:
        reason = str(error.args[-1])
    if reason and claimant.log is not None:
        claimant.log.warning("the server id is used without a claim", server_id=number, reason=reason)
    return number


def _lock(connection: pymysql.Connection, number: int, claimant: Claimant, evict: Callable[[int], None]) -> bool:
    """Steps 2 and 3 of `claim`. Returns whether both locks are held."""
    own = stream_lock(number, claimant.stream_id)
    is_ours = _take(connection, own, _CLOSED_WITHIN_S)
    if not is_ours:
        # Another stream may use the id, and its connection must not be ended.
        require_free(connection, number, claimant.stream_id, claimant.where)
        evict(number)
        is_ours = _take(connection, own, _ENDED_WITHIN_S)
    if not _take(connection, number_lock(number), _CLOSED_WITHIN_S):
        require_free(connection, number, claimant.stream_id, claimant.where)
        return False
    return is_ours


def _taken(number: int, holder: int, where: str) -> SourceError:
    return SourceError(
        f"source.server_id {number} is in use: a capture of another stream uses it on connection {holder}",
        where=where,
        remedy=_REMEDY,
    )


def _take(connection: pymysql.Connection, name: str, wait_s: int) -> bool:
    return _value(connection, "SELECT GET_LOCK(%s, %s)", name, wait_s) == 1


def _holder(connection: pymysql.Connection, name: str) -> int | None:
    return _value(connection, "SELECT IS_USED_LOCK(%s)", name)


def _value(connection: pymysql.Connection, statement: str, *values: object) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row = cursor.fetchone()
    return None if row is None or row[0] is None else int(row[0])
