"""What runs imports nothing but what the project declares: a development package is not there in an installation."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("datafingerprint", "services", "api", "deploy")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BROUGHT = {"botocore": "boto3", "starlette": "fastapi", "prestodb": "presto-python-client"}
"""Modules that a declared package brings under another name, and that package."""


IN_AIRFLOW = (ROOT / "deploy/airflow/provider", ROOT / "deploy/airflow/dags")
"""Folders that run in Airflow's environment. The provider declares their dependencies."""
OF_AIRFLOW = {
    "airflow": "apache-airflow",
    "airflow_provider_datafingerprint": "airflow-provider-datafingerprint",
    "httpx": "httpx",
    "yaml": "pyyaml",
}
OPTIONAL_IN_AIRFLOW = {"openlineage"}
"""Imported only where it is there: the provider catches the ImportError."""


def name_of(requirement: str) -> str:
    """The distribution that a requirement asks for, without its extras and bounds."""
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


PROVIDERS = metadata.packages_distributions()
DECLARED = {name_of(dependency) for dependency in PROJECT["dependencies"]}


def imported(node: ast.AST) -> Iterator[str]:
    """Top-level packages that a piece of code imports when it runs, at any depth."""
    if isinstance(node, ast.Import):
        yield from (name.name.partition(".")[0] for name in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield (node.module or "").partition(".")[0]
    is_for_types = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
    for child in node.orelse if is_for_types and isinstance(node, ast.If) else ast.iter_child_nodes(node):
        yield from imported(child)


def undeclared(source: str, allowed: set[str]) -> set[str]:
    known = {*sys.stdlib_module_names, *PACKAGES}
    modules = {item for item in imported(ast.parse(source)) if item not in known}
    return {
        module
        for module in modules
        if not allowed
        & {BROUGHT.get(module, module), *(name.lower().replace("_", "-") for name in PROVIDERS.get(module, ()))}
    }


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_is_imported_at_run_time_that_is_not_declared(package: str) -> None:
    # `deploy` starts parts and engines from a checkout; the product itself never imports it.
    extras = PROJECT["optional-dependencies"] if package == "deploy" else {}
    extra = {name_of(row) for name, wanted in extras.items() if name != "dev" for row in wanted}
    wrong = {
        str(file.relative_to(ROOT)): result
        for file in sorted((ROOT / package).rglob("*.py"))
        if not any(file.is_relative_to(folder) for folder in IN_AIRFLOW)
        and (result := undeclared(file.read_text(encoding="utf-8"), DECLARED | extra))
    }
    assert wrong == {}


def test_what_runs_in_airflow_imports_only_what_the_provider_declares() -> None:
    provider = tomllib.loads((IN_AIRFLOW[0] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {provider["name"], *map(name_of, provider["dependencies"])}
    files = [*(IN_AIRFLOW[0] / "src").rglob("*.py"), *IN_AIRFLOW[1].rglob("*.py")]
    modules = {module for file in files for module in imported(ast.parse(file.read_text(encoding="utf-8")))}
    third_party = modules - sys.stdlib_module_names - OPTIONAL_IN_AIRFLOW
    assert "airflow" in third_party
    assert {module for module in third_party if OF_AIRFLOW.get(module) not in declared} == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import pytest", {"pytest"}),
        ("from mypy_boto3_s3 import S3Client", {"mypy_boto3_s3"}),
        ("def f():\n    import hypothesis.strategies", {"hypothesis"}),
        ("import os, boto3, botocore.config, pymysql, kafka.errors", set()),
        ("if TYPE_CHECKING:\n    from mypy_boto3_s3 import S3Client", set()),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import pytest", {"pytest"}),
    ],
)
def test_a_development_package_is_found_wherever_it_is_imported(source: str, found: set[str]) -> None:
    assert undeclared(source, DECLARED) == found


def test_the_product_does_not_import_what_only_a_checkout_needs() -> None:
    for package in ("datafingerprint", "services", "api"):
        for file in (ROOT / package).rglob("*.py"):
            assert "deploy" not in set(imported(ast.parse(file.read_text(encoding="utf-8")))), file
