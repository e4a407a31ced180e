"""`dfp_migration`: brings tables from the warehouse to the lake, each by itself.

Capture begins the snapshot of a captured table by itself. This DAG waits until it is in the lake and proven equal
there, at a position not before the run's start. A table that differs is read again first; with `resync: always` every
table is.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from airflow.sdk import Param, dag, task, task_group

from airflow_provider_datafingerprint import calls
from airflow_provider_datafingerprint.hooks.datafingerprint import DataFingerprintHook
from airflow_provider_datafingerprint.operators.datafingerprint import DataFingerprintResyncOperator
from airflow_provider_datafingerprint.sensors.datafingerprint import DataFingerprintSensor

TASKS_AT_ONCE = 8
POLL_S = 10
"""A thousand tables that wait at once ask a hundred times a second."""


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "tables": Param("*", type="string", description="Tables, such as ootp.*"),
        "resync": Param("where it differs", enum=["where it differs", "always"], description="Which are read again"),
    },
    tags=["datafingerprint"],
    doc_md=__doc__,
)
def dfp_migration() -> None:
    """One chain of tasks per captured table."""

    @task
    def tables(pattern: str) -> list[str]:
        """The captured tables that a pattern names."""
        items = DataFingerprintHook().call(calls.TABLES)["items"]
        names = [item["table"] for item in items if fnmatchcase(item["table"], pattern)]
        if not names:
            raise ValueError(f"no captured table is called {pattern}; there are {[item['table'] for item in items]}")
        return names

    @task_group
    def migrate(table: str) -> None:
        """Reads a table again if need be, and waits for its proof."""
        resync = DataFingerprintResyncOperator(
            task_id="resync",
            map_index_template="{{ task.table }}",
            table=table,
            only_on_mismatch="{{ params.resync != 'always' }}",
            deferrable=True,
            poll_interval=POLL_S,
            max_active_tis_per_dagrun=TASKS_AT_ONCE,
        )
        proven = DataFingerprintSensor(
            task_id="proven",
            map_index_template="{{ task.table }}",
            table=table,
            as_of="{{ dag_run.start_date }}",
            deferrable=True,
            poke_interval=POLL_S,
            timeout=timedelta(days=1),
            max_active_tis_per_dagrun=TASKS_AT_ONCE,
        )
        resync >> proven

    migrate.expand(table=tables("{{ params.tables }}"))


dfp_migration()
