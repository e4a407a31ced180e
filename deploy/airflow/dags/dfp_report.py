"""`dfp_report`: an example of a report that is made only of rows that are proven.

It starts when the lake table of the standings was proven equal, and waits until all that it reads is proven at the
run's moment. A difference fails the sensor at once, and no wrong figure is published.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import dag, task

from airflow_provider_datafingerprint.assets.datafingerprint import lake_table_asset
from airflow_provider_datafingerprint.notifications.datafingerprint import DataFingerprintNotifier
from airflow_provider_datafingerprint.sensors.datafingerprint import DataFingerprintSensor

SCHEMA = os.environ.get("DFP_GENERATOR_SCHEMA_NAME", "ootp")
TABLES = [f"{SCHEMA}.games", f"{SCHEMA}.team_record"]


@dag(
    schedule=lake_table_asset(TABLES[1], "league"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    tags=["datafingerprint"],
    doc_md=__doc__,
)
def dfp_report() -> None:
    """A sensor per table, and the report after all of them."""

    @task
    def report(proofs: list[dict[str, Any]]) -> dict[str, Any]:
        """The rows of each table, with the position at which they were proven."""
        figures = {proof["table"]: {name: proof[name] for name in ("rows", "gtid", "as_of")} for proof in proofs}
        for table, figure in figures.items():
            print(f"{table}: {figure['rows']} rows, proven as of {figure['as_of']}")  # noqa: T201 - the task's log
        return figures

    proven = DataFingerprintSensor.partial(
        task_id="proven",
        map_index_template="{{ task.table }}",
        deferrable=True,
        timeout=3600,
        on_failure_callback=DataFingerprintNotifier(table=f"{SCHEMA}.*"),
    ).expand(table=TABLES)
    report(proven.output)


dfp_report()
