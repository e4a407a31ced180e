"""Operators: audits of the source, scans of the lake, resyncs of a table."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Any, ClassVar

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_datafingerprint import calls
from airflow_provider_datafingerprint.answers import MATCH, Answer, is_active, moment_of, require_match, result
from airflow_provider_datafingerprint.calls import JobKind
from airflow_provider_datafingerprint.errors import (
    DataFingerprintMisused,
    DataFingerprintRefused,
    DataFingerprintUnavailable,
    JobFailedError,
    UnknownAnswerError,
)
from airflow_provider_datafingerprint.hooks.datafingerprint import DataFingerprintHook
from airflow_provider_datafingerprint.lineage import TableEquality, operator_lineage
from airflow_provider_datafingerprint.links.datafingerprint import DataFingerprintLink, push_link
from airflow_provider_datafingerprint.triggers.datafingerprint import (
    POLL_S,
    DataFingerprintJobTrigger,
    require_success,
)

JOBS_SEARCHED = 100
"""Newest jobs among which a retry looks for the one that an earlier try started."""


class DataFingerprintJobOperator(BaseOperator):
    """Starts a job of the service, waits for its end, and demands the verdict `match`.

    The job's id is in XCom (`job_id`) before the task waits. A retry goes on with the job that an earlier try
    started, while that one goes on or has ended in a match. A verdict or state that is not known is a failure.

    Args:
        table: `schema.table`.
        partition: The only partition; None for all.
        datafingerprint_conn_id: The connection.
        wait_for_completion: Whether the task ends with the job; else it ends when the job has started.
        fail_on_mismatch: Whether a verdict other than `match` fails the task; else it is in the returned result.
        deferrable: Whether the triggerer waits, and no worker.
        poll_interval: Seconds between two looks.
    """

    kind: ClassVar[JobKind]
    template_fields: Sequence[str] = ("table", "partition", "datafingerprint_conn_id")
    operator_extra_links = (DataFingerprintLink(),)
    ui_color = "#e8f0ea"

    def __init__(
        self,
        *,
        table: str | None = None,
        partition: str | None = None,
        datafingerprint_conn_id: str = DataFingerprintHook.default_conn_name,
        wait_for_completion: bool = True,
        fail_on_mismatch: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        poll_interval: float = POLL_S,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.partition = partition
        self.datafingerprint_conn_id = datafingerprint_conn_id
        self.wait_for_completion = wait_for_completion
        self.fail_on_mismatch = fail_on_mismatch
        self.deferrable = deferrable
        self.poll_interval = poll_interval
        self.job_id: int | None = None
        self.equality: TableEquality | None = None

    @cached_property
    def hook(self) -> DataFingerprintHook:
        """The connection's hook."""
        return DataFingerprintHook(self.datafingerprint_conn_id)

    def scope(self) -> dict[str, Any]:
        """What the job is about, as the service takes it."""
        return {"table": self.table or None, "partition": self.partition or None}

    def execute(self, context: Any) -> Any:
        """Starts the job, or finds the one of an earlier try, and waits for it."""
        push_link(context, self.hook.endpoint.link(self.table))
        answer = self._earlier(context) or self._ask()
        number = self.job_id = int(answer["id"])
        context["ti"].xcom_push(key="job_id", value=number)
        _Memory.of(context, self.kind).store(number)
        if not self.wait_for_completion:
            return number
        if is_active(self.kind, answer):
            if self.deferrable:
                self._defer(number)
            answer = self._wait(number)
        return self._judged(answer)

    def execute_complete(self, context: Any, event: Mapping[str, Any] | None = None) -> Any:
        """Goes on where the trigger ended."""
        number = self.job_id = int(require_success(event)["id"])
        answer = self.hook.call(self.kind.get(number))
        if is_active(self.kind, answer):
            raise UnknownAnswerError(f"{self.kind.name} {number} had ended, and is {answer['state']}")
        return self._judged(answer)

    def on_kill(self) -> None:
        """Cancels the job, where the service can."""
        if self.job_id is None or not self.kind.is_cancellable:
            return
        try:
            self.hook.call(self.kind.cancel(self.job_id))
        except Exception as error:  # noqa: BLE001 - the task ends in any case
            self.log.warning("%s %d could not be cancelled: %s", self.kind.name, self.job_id, error)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Reports to OpenLineage whether the table equals its source."""
        return operator_lineage(self.equality)

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> Any:
        """As on completion: a task that found a difference has failed."""
        return operator_lineage(self.equality)

    def _ask(self) -> Answer:
        answer: Answer = self.hook.call(self.kind.ask(self.scope()))
        self.log.info("%s %s of %s started", self.kind.name, answer["id"], self.table or "every table")
        return answer

    def _earlier(self, context: Any) -> Answer | None:
        """The job that an earlier try of this task started, unless a new one is needed."""
        if (context["ti"].try_number or 1) <= 1:
            return None
        memory = _Memory.of(context, self.kind)
        number = memory.load()
        answer = self._known(number) if number is not None else self._same_scope(memory.since)
        if answer is None or not self._is_good(answer):
            return None
        self.log.info("going on with %s %s of an earlier try", self.kind.name, answer["id"])
        return answer

    def _known(self, number: int) -> Answer | None:
        try:
            answer: Answer = self.hook.call(self.kind.get(number))
        except DataFingerprintMisused:
            return None
        return answer

    def _same_scope(self, since: Any) -> Answer | None:
        """An active job of the same scope, started since the DAG run. For Airflow before 3.3."""
        if since is None:
            return None
        for answer in self.hook.call(self.kind.last(JOBS_SEARCHED))["items"]:
            asked_at = moment_of(answer.get("asked_at") or answer["started_at"])
            is_same = all(answer.get(name) == value for name, value in self.scope().items())
            if is_same and answer["state"] in self.kind.active and asked_at >= moment_of(since):
                return self._known(int(answer["id"]))
        return None

    def _is_good(self, answer: Answer) -> bool:
        try:
            return is_active(self.kind, answer) or answer.get("verdict") == MATCH
        except JobFailedError:
            return False

    def _defer(self, number: int) -> None:
        self.defer(
            trigger=DataFingerprintJobTrigger(
                kind=self.kind.name,
                number=number,
                datafingerprint_conn_id=self.datafingerprint_conn_id,
                poll_interval=self.poll_interval,
            ),
            method_name="execute_complete",
            timeout=self.execution_timeout,
        )

    def _wait(self, number: int) -> Answer:
        while True:
            time.sleep(self.poll_interval)
            try:
                answer: Answer = self.hook.call(self.kind.get(number))
            except DataFingerprintUnavailable as error:
                self.log.warning("still waiting for %s %d: %s", self.kind.name, number, error)
                continue
            if not is_active(self.kind, answer):
                return answer

    def _judged(self, answer: Answer) -> dict[str, Any]:
        outcome = result(self.kind, answer)
        link = self.hook.endpoint.link(self.table)
        self.log.info("%s %s: %s", self.kind.name, outcome["id"], outcome["verdict"])
        if self.table:
            about = f"{self.kind.name} {outcome['id']}: {outcome['verdict']}"
            self.equality = TableEquality(self.hook.endpoint.url, self.table, outcome["verdict"] == MATCH, about)
        if self.fail_on_mismatch:
            require_match(outcome, link)
        return {**outcome, "link": link}


class DataFingerprintAuditOperator(DataFingerprintJobOperator):
    """Audits the source: compares the sums of its own rows with what capture published.

    Without a table, every captured table is audited.
    """

    kind = calls.AUDIT


class DataFingerprintScanOperator(DataFingerprintJobOperator):
    """Scans the lake: compares an engine's sums of a table with the source's running sums.

    The service limits how many scans run on an engine. The task waits for its turn, in the worker.

    Args:
        engine: A name of the service's settings, `[engines.NAME]`.
    """

    kind = calls.SCAN
    template_fields: Sequence[str] = (*DataFingerprintJobOperator.template_fields, "engine")

    def __init__(self, *, table: str, engine: str = "duckdb", **kwargs: Any) -> None:
        super().__init__(table=table, **kwargs)
        self.engine = engine

    def scope(self) -> dict[str, Any]:
        """See `DataFingerprintJobOperator.scope`."""
        return {**super().scope(), "engine": self.engine}

    def _ask(self) -> Answer:
        """Starts the scan once it is its turn: the service limits the scans of an engine."""
        was_idle = False
        while True:
            try:
                return super()._ask()
            except DataFingerprintRefused as refusal:
                is_idle = not self._is_busy()
                # The last scan may have ended since the refusal: only a refusal by an idle engine is about this scan.
                if is_idle and was_idle:
                    raise
                was_idle = is_idle
                self.log.info("waiting for a turn on %s: %s", self.engine, refusal)
            time.sleep(self.poll_interval)

    def _is_busy(self) -> bool:
        scans = self.hook.call(self.kind.last(JOBS_SEARCHED))["items"]
        return any(scan["engine"] == self.engine and scan["state"] in self.kind.active for scan in scans)


class DataFingerprintResyncOperator(DataFingerprintJobOperator):
    """Reads a table or partition again from the source, and waits for its verdict.

    The service cannot cancel a resync: killing the task ends the waiting only.

    Args:
        only_on_mismatch: Whether a table that does not differ is left as it is. A table whose first snapshot goes
            on is left to that snapshot.
    """

    kind = calls.RESYNC
    template_fields: Sequence[str] = (*DataFingerprintJobOperator.template_fields, "only_on_mismatch")

    def __init__(self, *, table: str, only_on_mismatch: bool | str = False, **kwargs: Any) -> None:
        super().__init__(table=table, **kwargs)
        self.only_on_mismatch = only_on_mismatch

    def execute(self, context: Any) -> Any:
        """See `DataFingerprintJobOperator.execute`."""
        if is_true(self.only_on_mismatch) and (context["ti"].try_number or 1) <= 1:
            answer = self.hook.call(calls.fingerprint(str(self.table)))
            if answer["verdict"] != "mismatch":
                push_link(context, self.hook.endpoint.link(self.table))
                self.log.info("no resync of %s: it is %s", self.table, answer["verdict"])
                return {"kind": "resync", "id": None, "table": self.table, "verdict": answer["verdict"]}
        return super().execute(context)


def is_true(value: bool | str) -> bool:  # noqa: FBT001 - a template gives text
    """A truth value, also as a template renders it.

    Raises:
        DataFingerprintMisused: it is neither.
    """
    if isinstance(value, bool):
        return value
    words = {"true": True, "1": True, "false": False, "0": False}
    if value.strip().lower() not in words:
        raise DataFingerprintMisused(f"only_on_mismatch is true or false, not {value!r}")
    return words[value.strip().lower()]


class _Memory:
    """The id of a task's job, kept over its retries in Airflow's task state store (3.3).

    A task that a user cleared has another `max_tries`, and starts a new job.
    """

    def __init__(self, store: Any, key: str, tries: Any, since: Any) -> None:
        self._store = store
        self._key = key
        self._tries = tries
        self.since = since

    @classmethod
    def of(cls, context: Any, kind: JobKind) -> _Memory:
        """The memory of the task in a context."""
        run = context.get("dag_run")
        return cls(
            context.get("task_state_store"),
            f"datafingerprint_{kind.name}",
            getattr(context["ti"], "max_tries", None),
            getattr(run, "start_date", None),
        )

    def store(self, number: int) -> None:
        """Remembers an id."""
        if self._store is not None:
            self._store.set(self._key, {"id": number, "max_tries": self._tries}, retention=timedelta(days=30))

    def load(self) -> int | None:
        """The id that an earlier try stored; None when there is none."""
        stored = self._store.get(self._key) if self._store is not None else None
        if isinstance(stored, dict) and stored.get("max_tries") == self._tries:
            return int(stored["id"])
        return None
