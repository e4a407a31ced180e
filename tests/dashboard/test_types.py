"""The types of the dashboard: they are those of the answers, a wrong field is found, and what is not run is said."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.dashboard.answers import FILE, _type, rendered, schemas

ROOT = Path(__file__).parents[2]
COMPILER = ROOT / ".local" / "typescript"


def check(root: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", str(root / "deploy/dashboard/check"), str(COMPILER)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_the_types_of_the_answers_are_those_of_the_models() -> None:
    assert FILE.read_text(encoding="utf-8") == rendered(schemas()), "run python -m deploy.dashboard.answers"


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"type": "integer"}, "number"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"enum": ["a", "b"], "type": "string"}, '"a" | "b"'),
        ({"const": "a"}, '"a"'),
        ({"type": "array", "items": {"$ref": "#/components/schemas/Side"}}, "Array<Side>"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "Record<string, number>"),
        ({"type": "object", "additionalProperties": True}, "Record<string, any>"),
        ({}, "any"),
    ],
)
def test_a_schema_is_a_type(schema: dict[str, object], wanted: str) -> None:
    assert _type(schema) == wanted


def test_a_field_that_no_answer_has_is_found(tmp_path: Path) -> None:
    if shutil.which("node") is None or not COMPILER.exists():
        pytest.skip("NOT RUN: node or TypeScript is not installed")
    for folder in ("api/static", "deploy/dashboard"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    view = tmp_path / "api/static/views/table.js"
    text = view.read_text(encoding="utf-8")
    assert text.count("found.as_of") > 0
    view.write_text(text.replace("found.as_of", "found.as_off"), encoding="utf-8")
    done = check(tmp_path)
    assert done.returncode != 0
    assert "'as_off' does not exist" in done.stdout


def test_without_node_it_says_that_it_was_not_run(tmp_path: Path) -> None:
    for name in ("dirname", "realpath"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    done = check(ROOT, PATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (0, "NOT RUN: the types of the dashboard, because node is not installed\n")
