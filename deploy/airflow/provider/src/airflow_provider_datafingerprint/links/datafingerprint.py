"""The link from a task to DataFingerprint's dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, TaskInstanceKey

LINK_KEY = "datafingerprint_link"


class DataFingerprintLink(BaseOperatorLink):
    """Opens the dashboard at the task's table."""

    name = "DataFingerprint"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Returns: the address that the task stored before it waited; empty before that."""
        return XCom.get_value(key=LINK_KEY, ti_key=ti_key) or ""


def push_link(context: Any, link: str) -> None:
    """Stores a task's link."""
    context["ti"].xcom_push(key=LINK_KEY, value=link)
