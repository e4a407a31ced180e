"""A notifier that says which partitions differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx
from airflow.providers.common.compat.sdk import BaseHook, BaseNotifier

from airflow_provider_datafingerprint import calls
from airflow_provider_datafingerprint.answers import differences
from airflow_provider_datafingerprint.hooks.datafingerprint import TIMEOUT_S, DataFingerprintHook

NAMED_MAX = 20


class DataFingerprintNotifier(BaseNotifier):
    """Logs the partitions that differ now, with a link, and posts them to a chat.

    Args:
        table: A table or a pattern such as `shop.*`; None for all.
        webhook_conn_id: A connection whose host is the whole address of a webhook that takes `{"text": …}`, as those
            of Slack, Mattermost and Teams do. None only logs.
        datafingerprint_conn_id: The connection.
    """

    template_fields: Sequence[str] = ("table", "webhook_conn_id", "datafingerprint_conn_id")

    def __init__(
        self,
        table: str | None = None,
        webhook_conn_id: str | None = None,
        datafingerprint_conn_id: str = DataFingerprintHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = table
        self.webhook_conn_id = webhook_conn_id
        self.datafingerprint_conn_id = datafingerprint_conn_id

    def notify(self, context: Any) -> None:
        """Sends the message."""
        hook = DataFingerprintHook(self.datafingerprint_conn_id)
        answer = hook.call(calls.fingerprints(verdict="mismatch", table=self.table or "", limit=NAMED_MAX))
        text = message(_task(context), answer, hook.endpoint.link())
        self.log.info("%s", text)
        if self.webhook_conn_id:
            address = BaseHook.get_connection(self.webhook_conn_id).host or ""
            httpx.post(address, json={"text": text}, timeout=TIMEOUT_S).raise_for_status()


def message(task: str, answer: Any, link: str) -> str:
    """The message: the task, and up to 20 partitions that differ."""
    listed = [
        str(difference)
        for item in answer["items"]
        for difference in differences(item["partitions"] or [item], item["table"])
    ]
    lines = listed[:NAMED_MAX] or ["no partition differs now"]
    more = [f"and {len(listed) - NAMED_MAX} more"] if len(listed) > NAMED_MAX else []
    return "\n".join([f"{task}: DataFingerprint says {answer['verdict']}", *lines, *more, link])


def _task(context: Any) -> str:
    instance = context.get("ti") or context.get("task_instance")
    return f"{instance.dag_id}.{instance.task_id}" if instance is not None else "a task"
