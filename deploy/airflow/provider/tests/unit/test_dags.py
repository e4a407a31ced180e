"""The DAGs: that Airflow can load them, and what the comparison of `dfp_fingerprint` calls a proof."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

DAGS = Path(__file__).parents[3] / "dags"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, DAGS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", sorted(file.stem for file in DAGS.glob("*.py")))
def test_a_dag_can_be_loaded_and_has_no_circle(name: str) -> None:
    dag = getattr(load(name), name)()
    dag.check_cycle()
    assert dag.dag_id == name
    assert dag.task_ids


def outcome(kind: str, table: str, verdict: str = "match", *differing: Any) -> dict[str, Any]:
    return {"kind": kind, "id": 1, "table": table, "verdict": verdict, "reason": None, "differing": list(differing)}


def complaints(names: list[str] | None, audits: list[Any], scans: list[Any]) -> list[str]:
    lines: list[str] = load("dfp_fingerprint").complaints(names, {"audit": audits, "scan": scans})
    return lines


def test_only_a_match_of_every_audit_and_scan_is_a_proof() -> None:
    audits, scans = ([outcome(kind, table) for table in ("a.b", "a.c")] for kind in ("audit", "scan"))
    assert complaints(["a.b", "a.c"], audits, scans) == []
    assert complaints(["a.b", "a.c"], audits, scans[:1]) == ["scan of a.c: no result; see its task"]
    assert complaints(None, [], []) == [f"{kind} of every table: no result; see its task" for kind in ("audit", "scan")]


def test_what_differs_comes_first_and_names_its_partitions() -> None:
    part = {"table": "a.c", "partition": "x=1", "verdict": "mismatch", "reason": "1 row too few"}
    unknown, bad = outcome("audit", "a.b", "inconclusive"), outcome("scan", "a.c", "mismatch", part)
    lines = complaints(["a.b", "a.c"], [unknown, outcome("audit", "a.c")], [outcome("scan", "a.b"), bad])
    assert lines == ["scan 1: a.c x=1: mismatch: 1 row too few", "audit 1: a.b: inconclusive: nothing was measured"]
