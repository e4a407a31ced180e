"""Triggers: they poll the REST service in Airflow's triggerer, without a worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable, Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import AirflowException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_datafingerprint import calls
from airflow_provider_datafingerprint.answers import Proof, Waiting, is_active, judge, moment_of, proof_of, verdict_of
from airflow_provider_datafingerprint.errors import (
    DataFingerprintMisused,
    DataFingerprintUnavailable,
    JobFailedError,
    MismatchError,
)
from airflow_provider_datafingerprint.hooks.datafingerprint import DataFingerprintClient, DataFingerprintHook

try:
    from airflow.triggers.base import BaseEventTrigger
except ImportError:  # before Airflow 3: there are no assets that a trigger updates
    BaseEventTrigger = BaseTrigger  # type: ignore[assignment,misc]

POLL_S = 5.0
_MODULE = "airflow_provider_datafingerprint.triggers.datafingerprint"


class DataFingerprintJobTrigger(BaseTrigger):
    """Waits until an audit, scan or resync has ended. The operator judges its result.

    Args:
        kind: `audit`, `scan` or `resync`.
        number: The job's id.
        datafingerprint_conn_id: The connection.
        poll_interval: Seconds between two looks.
    """

    def __init__(
        self,
        kind: str,
        number: int,
        datafingerprint_conn_id: str = DataFingerprintHook.default_conn_name,
        poll_interval: float = POLL_S,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.number = number
        self.datafingerprint_conn_id = datafingerprint_conn_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """See `BaseTrigger.serialize`."""
        return f"{_MODULE}.{type(self).__name__}", {
            "kind": self.kind,
            "number": self.number,
            "datafingerprint_conn_id": self.datafingerprint_conn_id,
            "poll_interval": self.poll_interval,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields one event, when the job is over or can never be."""
        kind = calls.KINDS[self.kind]
        async with DataFingerprintHook(self.datafingerprint_conn_id).aclient() as client:
            while True:
                # First: the operator has just looked. An event before the scheduler has seen the worker end would
                # cost the task a try.
                await asyncio.sleep(self.poll_interval)
                try:
                    is_over = not is_active(kind, await client.call(kind.get(self.number)))
                except DataFingerprintUnavailable as error:
                    self.log.warning("still waiting for %s %d: %s", self.kind, self.number, error)
                    is_over = False
                except AirflowException as error:
                    yield TriggerEvent(_failure(error))
                    return
                if is_over:
                    yield TriggerEvent({"id": self.number})
                    return

    async def on_kill(self) -> None:
        """Cancels the job: a user ended the task. Airflow before 3.3 does not call it."""
        kind = calls.KINDS[self.kind]
        if not kind.is_cancellable:
            return
        async with DataFingerprintHook(self.datafingerprint_conn_id).aclient() as client:
            await client.call(kind.cancel(self.number))


class DataFingerprintProofTrigger(BaseTrigger):
    """Waits until a table is proven equal at a position not before a moment.

    Args:
        table: `schema.table`.
        partition: The only partition that matters; None for all.
        as_of: The moment, in ISO 8601.
        margin_s: Seconds that are added to the moment.
        datafingerprint_conn_id: The connection.
        poll_interval: Seconds between two looks.
    """

    def __init__(
        self,
        table: str,
        partition: str | None,
        as_of: str,
        margin_s: float,
        datafingerprint_conn_id: str = DataFingerprintHook.default_conn_name,
        poll_interval: float = POLL_S,
    ) -> None:
        super().__init__()
        self.table = table
        self.partition = partition
        self.as_of = as_of
        self.margin_s = margin_s
        self.datafingerprint_conn_id = datafingerprint_conn_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """See `BaseTrigger.serialize`."""
        return f"{_MODULE}.{type(self).__name__}", {
            "table": self.table,
            "partition": self.partition,
            "as_of": self.as_of,
            "margin_s": self.margin_s,
            "datafingerprint_conn_id": self.datafingerprint_conn_id,
            "poll_interval": self.poll_interval,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yields one event: the proof, or why there will be none."""
        last = ""
        async with DataFingerprintHook(self.datafingerprint_conn_id).aclient() as client:
            while True:
                await asyncio.sleep(self.poll_interval)  # first: as above
                try:
                    state = await self._look(client)
                except DataFingerprintUnavailable as error:
                    state = Waiting(str(error))
                except AirflowException as error:
                    yield TriggerEvent(_failure(error))
                    return
                if isinstance(state, Proof):
                    yield TriggerEvent({"proof": asdict(state)})
                    return
                if state.reason != last:
                    self.log.info("%s: %s", self.table, state.reason)
                    last = state.reason

    async def _look(self, client: DataFingerprintClient) -> Proof | Waiting:
        answer = await client.call(calls.fingerprint(self.table))
        return judge(answer, self.partition, moment_of(self.as_of), timedelta(seconds=self.margin_s))


class VerdictTrigger(BaseEventTrigger):
    """Updates an asset when a lake commit changed a table and the table is proven equal.

    The event is `{table, gtid, epoch, rows, digest, as_of}`. One poll serves all tables of a connection. A restarted
    triggerer reports the present proof once more.

    Args:
        table: `schema.table`.
        datafingerprint_conn_id: The connection.
        poll_interval: Seconds between two looks.
    """

    def __init__(
        self,
        table: str,
        datafingerprint_conn_id: str = DataFingerprintHook.default_conn_name,
        poll_interval: float = POLL_S,
    ) -> None:
        super().__init__()
        self.table = table
        self.datafingerprint_conn_id = datafingerprint_conn_id
        self.poll_interval = poll_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """See `BaseTrigger.serialize`."""
        return f"{_MODULE}.{type(self).__name__}", {
            "table": self.table,
            "datafingerprint_conn_id": self.datafingerprint_conn_id,
            "poll_interval": self.poll_interval,
        }

    def shared_stream_key(self) -> Hashable | None:
        """Triggers of one connection with one interval share their poll."""
        return ("datafingerprint", self.datafingerprint_conn_id, self.poll_interval)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[Mapping[str, Any]]:
        """Yields the fingerprints of all tables, each time that they have changed."""
        hook = DataFingerprintHook(kwargs.get("datafingerprint_conn_id", DataFingerprintHook.default_conn_name))
        etag = ""
        async with hook.aclient() as client:
            while True:
                try:
                    reply = await client.reply(calls.fingerprints(etag=etag))
                except DataFingerprintUnavailable as error:
                    hook.log.warning("still waiting for verdicts: %s", error)
                else:
                    etag = reply.etag
                    if reply.document is not None:
                        yield {item["table"]: item for item in reply.document["items"]}
                await asyncio.sleep(kwargs.get("poll_interval", POLL_S))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Yields an event for each proof of other rows, and for one after a difference."""
        last: tuple[int, str] | None = None
        async for tables in shared_stream:
            answer = tables.get(self.table)
            if answer is None or verdict_of(answer) != "match":
                # What is proven next is news, even if it is what was proven before.
                last = None
                continue
            proof = proof_of(answer)
            if proof is not None and last != (proof.rows, proof.digest):
                last = (proof.rows, proof.digest)
                event = asdict(proof)
                del event["partition"]
                yield TriggerEvent(event)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """As the shared stream, for Airflow before 3.3."""
        async for event in self.filter_shared_stream(self.open_shared_stream(self.serialize()[1])):
            yield event


def _failure(error: AirflowException) -> dict[str, str]:
    return {"error": type(error).__name__, "text": str(error)}


_RAISED: dict[str, type[AirflowException]] = {
    error.__name__: error for error in (DataFingerprintMisused, JobFailedError, MismatchError)
}


def require_success(event: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The event of a trigger that ended well.

    Raises:
        AirflowException: the one that the trigger met; an unknown one when there is no event.
    """
    if event is None:
        raise AirflowException("the trigger ended without an event")
    if "error" in event:
        raise _RAISED.get(event["error"], AirflowException)(event["text"])
    return event
