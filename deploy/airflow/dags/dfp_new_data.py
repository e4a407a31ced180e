"""`dfp_new_data`: plays a day of the league, and waits until the lake has it.

A game is one transaction, and the league goes on where the last transaction left it. So a task that was killed may be
retried: it ends the day that it had begun.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import Param, dag, task

from airflow_provider_datafingerprint.sensors.datafingerprint import DataFingerprintLakeSensor


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={"days": Param(1, type="integer", minimum=1, description="Days of the league that are played")},
    tags=["datafingerprint"],
    doc_md=__doc__,
)
def dfp_new_data() -> None:
    """New data for the warehouse, and through capture for the lake."""
    # The service of `./run up` plays for ever, and holds the league's lock: the two do not play at once.
    play = BashOperator(
        task_id="play",
        bash_command="datafingerprint generate --days {{ params.days }} --rate 0",
        execution_timeout=timedelta(hours=1),
    )

    @task
    def played_at() -> str:
        """The moment at which everything was committed."""
        return datetime.now(UTC).isoformat()

    committed = played_at()
    play >> committed
    DataFingerprintLakeSensor(task_id="arrived", as_of=committed, mode="reschedule", poke_interval=5, timeout=3600)


dfp_new_data()
