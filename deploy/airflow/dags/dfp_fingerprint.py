"""`dfp_fingerprint`: proves the way from the warehouse's rows to an engine on the lake.

Per table an audit sums up the source itself, and a scan counts the lake on an engine. Both are compared with the
running sums, each at one exact position. The last task fails with the partitions that differ, and a link.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from airflow_provider_datafingerprint import calls
from airflow_provider_datafingerprint.answers import MATCH, MISMATCH, Difference
from airflow_provider_datafingerprint.errors import InconclusiveError, MismatchError
from airflow_provider_datafingerprint.hooks.datafingerprint import DataFingerprintHook
from airflow_provider_datafingerprint.links.datafingerprint import DataFingerprintLink, push_link
from airflow_provider_datafingerprint.operators.datafingerprint import (
    DataFingerprintAuditOperator,
    DataFingerprintScanOperator,
)

TASKS_AT_ONCE = 4
POLL_S = 10
"""A thousand tables that wait at once ask a hundred times a second."""


Outcomes = dict[str, list[dict[str, Any]]]
"""Results by kind: of audits, and of scans."""


def not_equal(outcomes: Outcomes) -> list[dict[str, Any]]:
    """The results that are no match; differing ones first."""
    bad = [outcome for ended in outcomes.values() for outcome in ended if outcome["verdict"] != MATCH]
    return sorted(bad, key=lambda outcome: outcome["verdict"] != MISMATCH)


def complaints(names: list[str] | None, outcomes: Outcomes) -> list[str]:
    """Partitions that are no match, and tables without a result; empty when all is proven."""
    lines = [line for outcome in not_equal(outcomes) for line in described(outcome)]
    for kind, ended in outcomes.items():
        missing = set(names or ["every table"]) - {outcome["table"] for outcome in ended}
        lines += [f"{kind} of {name}: no result; see its task" for name in sorted(missing)]
    return lines


def described(outcome: dict[str, Any]) -> list[str]:
    """What an audit or scan showed, a line per partition."""
    lines = [str(Difference(**difference)) for difference in outcome["differing"]]
    return [
        f"{outcome['kind']} {outcome['id']}: {line}"
        for line in lines
        or [f"{outcome['table']}: {outcome['verdict']}: {outcome['reason'] or 'nothing was measured'}"]
    ]


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=30)},
    params={
        "tables": Param("*", type="string", description="Tables, such as ootp.*"),
        "engine": Param("duckdb", type="string", description="The engine that scans: a name of [engines.NAME]"),
    },
    tags=["datafingerprint"],
    doc_md=__doc__,
)
def dfp_fingerprint() -> None:
    """An audit and a scan per captured table, and one comparison."""

    @task
    def tables(pattern: str) -> list[str]:
        """The captured tables that a pattern names."""
        items = DataFingerprintHook().call(calls.TABLES)["items"]
        names = [item["table"] for item in items if fnmatchcase(item["table"], pattern)]
        if not names:
            raise ValueError(f"no captured table is called {pattern}; there are {[item['table'] for item in items]}")
        return names

    # It runs after failures too: the other tables' differences are reported, and a missing result fails it.
    @task(trigger_rule="all_done", retries=0)
    def compare(names: list[str] | None, audits: list[dict[str, Any]], scans: list[dict[str, Any]]) -> str:
        """Demands that every table has an audit and a scan, and that all of them are a match."""
        hook = DataFingerprintHook()
        outcomes = {"audit": list(audits or []), "scan": list(scans or [])}
        bad = not_equal(outcomes)
        link = hook.endpoint.link(bad[0]["table"] if bad else None)
        push_link(get_current_context(), link)
        lines = complaints(names, outcomes)
        if not lines:
            return f"{len(outcomes['audit'])} audits and {len(outcomes['scan'])} scans: all match"
        error = MismatchError if any(outcome["verdict"] == MISMATCH for outcome in bad) else InconclusiveError
        raise error("\n".join([*lines, f"See {link}"]))

    captured = tables("{{ params.tables }}")
    audits = DataFingerprintAuditOperator.partial(
        task_id="audit",
        map_index_template="{{ task.table }}",
        deferrable=True,
        poll_interval=POLL_S,
        fail_on_mismatch=False,
        max_active_tis_per_dagrun=TASKS_AT_ONCE,
    ).expand(table=captured)
    # One waits for its turn on the engine while others run there.
    scans = DataFingerprintScanOperator.partial(
        task_id="scan",
        map_index_template="{{ task.table }}",
        engine="{{ params.engine }}",
        deferrable=True,
        poll_interval=POLL_S,
        fail_on_mismatch=False,
        max_active_tis_per_dagrun=1,
    ).expand(table=captured)
    comparison = compare(captured, audits.output, scans.output)
    comparison.operator.operator_extra_links = (DataFingerprintLink(),)


dfp_fingerprint()
