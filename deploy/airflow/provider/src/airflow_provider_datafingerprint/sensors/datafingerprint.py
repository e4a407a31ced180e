"""Sensors that wait for the lake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue, conf

from airflow_provider_datafingerprint import calls
from airflow_provider_datafingerprint.answers import Proof, Waiting, judge, moment_of
from airflow_provider_datafingerprint.errors import DataFingerprintUnavailable, MismatchError
from airflow_provider_datafingerprint.hooks.datafingerprint import DataFingerprintHook
from airflow_provider_datafingerprint.lineage import TableEquality, operator_lineage
from airflow_provider_datafingerprint.links.datafingerprint import DataFingerprintLink, push_link
from airflow_provider_datafingerprint.triggers.datafingerprint import (
    POLL_S,
    DataFingerprintProofTrigger,
    require_success,
)

AS_OF = "{{ data_interval_end | default(dag_run.run_after, true) }}"
"""The end of the data interval; of a run without one, the moment from which the run was to start."""
MARGIN_S = 2.0


class DataFingerprintSensor(BaseSensorOperator):
    """Waits until the lake is proven equal to the source at a position not before a moment.

    A mismatch, at any position, fails the task at once and without a retry. So does an unknown table. The proof
    (epoch, position, rows, digest) is the task's return value.

    Args:
        table: `schema.table`.
        partition: The only partition that matters; None for all.
        as_of: The moment: the end of the data interval unless another one is named.
        margin_s: Seconds that are added to the moment. Binlogs give commit times in whole seconds, and the clocks of
            source, capture and Airflow differ.
        datafingerprint_conn_id: The connection.
        deferrable: Whether the triggerer waits, and no worker.
        poke_interval: Seconds between two looks.
    """

    template_fields: Sequence[str] = ("table", "partition", "as_of", "datafingerprint_conn_id")
    operator_extra_links = (DataFingerprintLink(),)
    ui_color = "#e8f0ea"

    def __init__(
        self,
        *,
        table: str,
        partition: str | None = None,
        as_of: str | datetime = AS_OF,
        margin_s: float = MARGIN_S,
        datafingerprint_conn_id: str = DataFingerprintHook.default_conn_name,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poke_interval: timedelta | float = POLL_S,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.table = table
        self.partition = partition
        self.as_of = as_of
        self.margin_s = margin_s
        self.datafingerprint_conn_id = datafingerprint_conn_id
        self.deferrable = deferrable
        self.equality: TableEquality | None = None

    def execute(self, context: Any) -> Any:
        """Waits. Returns: the proof."""
        with self._noting_a_difference():
            return self._execute(context)

    def _execute(self, context: Any) -> Any:
        hook = DataFingerprintHook(self.datafingerprint_conn_id)
        push_link(context, hook.endpoint.link(self.table))
        if not self.deferrable:
            return super().execute(context)
        state = self._look(hook)
        if isinstance(state, Proof):
            return self._proven(asdict(state))
        self.defer(
            trigger=DataFingerprintProofTrigger(
                table=self.table,
                partition=self.partition,
                as_of=moment_of(self.as_of).isoformat(),
                margin_s=self.margin_s,
                datafingerprint_conn_id=self.datafingerprint_conn_id,
                poll_interval=self.poke_interval,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )
        return None

    def execute_complete(self, context: Any, event: Mapping[str, Any] | None = None) -> Any:
        """Goes on where the trigger ended."""
        with self._noting_a_difference():
            return self._proven(require_success(event)["proof"])

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Reports to OpenLineage that the table equals its source."""
        return operator_lineage(self.equality)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """Reports to OpenLineage that the table differs, where that is why the task failed."""
        return operator_lineage(self.equality)

    def poke(self, context: Any) -> PokeReturnValue:
        """Looks once."""
        state = self._look(DataFingerprintHook(self.datafingerprint_conn_id))
        if isinstance(state, Proof):
            return PokeReturnValue(is_done=True, xcom_value=self._proven(asdict(state)))
        self.log.info("%s: %s", self.table, state.reason)
        return PokeReturnValue(is_done=False)

    def _proven(self, proof: dict[str, Any]) -> dict[str, Any]:
        url = DataFingerprintHook(self.datafingerprint_conn_id).endpoint.url
        self.equality = TableEquality(
            url, self.table, is_equal=True, details=f"{proof['rows']} rows at {proof['gtid']}"
        )
        return proof

    @contextmanager
    def _noting_a_difference(self) -> Iterator[None]:
        try:
            yield
        except MismatchError as error:
            url = DataFingerprintHook(self.datafingerprint_conn_id).endpoint.url
            self.equality = TableEquality(url, self.table, is_equal=False, details=str(error))
            raise

    def _look(self, hook: DataFingerprintHook) -> Proof | Waiting:
        moment, margin = moment_of(self.as_of), timedelta(seconds=self.margin_s)
        try:
            answer = hook.call(calls.fingerprint(self.table))
        except DataFingerprintUnavailable as error:
            return Waiting(str(error))
        return judge(answer, self.partition or None, moment, margin)


class DataFingerprintLakeSensor(BaseSensorOperator):
    """Waits until the lake holds, and was compared at, a position not before a moment.

    It asks about the position alone: whether both sides are equal is the business of `DataFingerprintSensor`.

    Args:
        as_of: The moment.
        margin_s: See `DataFingerprintSensor`.
        datafingerprint_conn_id: The connection.
        poke_interval: Seconds between two looks.
    """

    template_fields: Sequence[str] = ("as_of", "datafingerprint_conn_id")
    operator_extra_links = (DataFingerprintLink(),)
    ui_color = "#e8f0ea"

    def __init__(
        self,
        *,
        as_of: str | datetime = AS_OF,
        margin_s: float = MARGIN_S,
        datafingerprint_conn_id: str = DataFingerprintHook.default_conn_name,
        poke_interval: timedelta | float = POLL_S,
        **kwargs: Any,
    ) -> None:
        super().__init__(poke_interval=poke_interval, **kwargs)
        self.as_of = as_of
        self.margin_s = margin_s
        self.datafingerprint_conn_id = datafingerprint_conn_id

    def poke(self, context: Any) -> PokeReturnValue:
        """Looks once."""
        hook = DataFingerprintHook(self.datafingerprint_conn_id)
        push_link(context, hook.endpoint.link())
        wanted = moment_of(self.as_of) + timedelta(seconds=self.margin_s)
        try:
            answer = hook.call(calls.STATUS)
        except DataFingerprintUnavailable as error:
            self.log.warning("still waiting for the lake: %s", error)
            return PokeReturnValue(is_done=False)
        if answer["as_of"] and moment_of(answer["as_of"]) >= wanted:
            place = {"epoch": answer["epoch"], "as_of": answer["as_of"], "gtid": answer["position"]["gtid"]}
            return PokeReturnValue(is_done=True, xcom_value=place)
        self.log.info("the lake is at %s, wanted is %s", answer["as_of"], wanted.isoformat())
        return PokeReturnValue(is_done=False)
