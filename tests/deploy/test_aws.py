"""`deploy/aws.md` holds policies that IAM takes, that allow no more than is needed, and arithmetic that is right."""

from __future__ import annotations

import ast
import json
import operator
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from datafingerprint.config import load_settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "deploy" / "aws.md").read_text(encoding="utf-8")
POLICIES = dict(re.findall(r"^```json (\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
FILES = {file.stem: file.read_text(encoding="utf-8") for file in (ROOT / "deploy" / "redshift").glob("*.json")}
IDENTITY = ("kafka", "writer", "reader")

ARN = re.compile(r"arn:aws:(s3:::[a-z0-9.-]+(/\S+)?|(kafka|glue):[a-z0-9-]+:\d{12}:[a-z-]+(/\S+)?)")


def statements(name: str) -> list[dict[str, Any]]:
    result: list[dict[str, Any]] = json.loads(POLICIES[name])["Statement"]
    return result


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def actions(name: str, service: str) -> set[str]:
    given = {action for statement in statements(name) for action in as_list(statement["Action"])}
    return {action.partition(":")[2] for action in given if action.startswith(f"{service}:")}


def test_there_are_the_four_policies() -> None:
    assert set(POLICIES) == {*IDENTITY, "bucket"}


@pytest.mark.parametrize("name", sorted({*POLICIES, *FILES}))
def test_a_policy_has_the_form_of_iam(name: str) -> None:
    policy = json.loads({**POLICIES, **FILES}[name])
    assert set(policy) == {"Version", "Statement"}
    assert policy["Version"] == "2012-10-17"
    sids = [entry["Sid"] for entry in policy["Statement"] if "Sid" in entry]
    assert len(sids) == len(set(sids))
    for item in policy["Statement"]:
        assert set(item) <= {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
        assert item["Effect"] in {"Allow", "Deny"}
        assert all(re.fullmatch(r"[a-z0-9-]+:(\*|[A-Z]\w+)", action) for action in as_list(item["Action"]))
        assert re.fullmatch(r"[A-Za-z0-9]*", item.get("Sid", ""))


@pytest.mark.parametrize("name", IDENTITY)
def test_a_policy_of_a_service_allows_no_service_and_no_resource_as_a_whole(name: str) -> None:
    for statement in statements(name):
        assert statement["Effect"] == "Allow"
        assert "Principal" not in statement
        assert not [action for action in as_list(statement["Action"]) if "*" in action]
        assert all(ARN.fullmatch(resource) for resource in as_list(statement["Resource"])), statement["Resource"]


@pytest.mark.parametrize("name", [*IDENTITY, *sorted(FILES.keys() - {"trust-policy"})])
def test_a_checker_of_iam_takes_the_policy(name: str) -> None:
    validation = pytest.importorskip("moto.iam.policy_validation", reason="NOT RUN: moto is not installed")
    validation.IAMPolicyDocumentValidator({**POLICIES, **FILES}[name]).validate()


def test_the_reader_may_write_nothing_and_the_writer_what_the_operators_page_says() -> None:
    assert all(
        action.startswith(("Get", "List")) for service in ("s3", "glue") for action in actions("reader", service)
    )
    assert actions("reader", "s3") < actions("writer", "s3")
    assert actions("reader", "glue") < actions("writer", "glue")
    assert {"DeleteTable", "DeleteDatabase"}.isdisjoint(actions("writer", "glue"))
    page = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    (line,) = [line for line in page.splitlines() if line.startswith("| S3 |")]
    assert set(re.findall(r"`(\w+Object|ListBucket)`", line)) <= actions("writer", "s3")


def test_the_bucket_refuses_requests_without_tls() -> None:
    (only,) = statements("bucket")
    assert (only["Effect"], only["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})


def test_the_settings_are_ones_that_the_services_take() -> None:
    (text,) = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    document = tomllib.loads(text)
    for section in document.values():
        for name in [name for name in section if name.endswith("_file") and name != "ca_file"]:
            section[name.removesuffix("_file")] = "a secret"
            del section[name]
    settings = load_settings(document, {})
    assert (settings.lake.catalog_kind, settings.kafka.sasl_mechanism) == ("glue", "AWS_MSK_IAM")
    bucket = f"arn:aws:s3:::{settings.s3.bucket}"
    assert {f"{bucket}/{settings.lake.path}/*", bucket} <= {
        resource for statement in statements("writer") for resource in as_list(statement["Resource"])
    }
    prefix = settings.kafka.prefix
    resources = [resource for statement in statements("kafka") for resource in as_list(statement["Resource"])]
    assert {resource.rpartition("/")[2] for resource in resources} == {"*", f"{prefix}.*", f"{prefix}-*"}


OPERATIONS = {ast.Mult: operator.mul, ast.Div: operator.truediv}


def value(node: ast.expr) -> float:
    if isinstance(node, ast.BinOp):
        return float(OPERATIONS[type(node.op)](value(node.left), value(node.right)))
    assert isinstance(node, ast.Constant)
    assert isinstance(node.value, int | float)
    return float(node.value)


def test_the_arithmetic_of_the_cost_is_right() -> None:
    table = PAGE.partition("| $ a month |\n|---|---|---|\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    *items, (name, _, total) = rows
    assert name == "**all**"
    for what, arithmetic, cost in items:
        assert round(value(ast.parse(arithmetic, mode="eval").body)) == int(cost), what
    assert sum(int(cost) for *_, cost in items) == int(total)
    by_flush = sum(int(cost) for what, _, cost in items if what.startswith(("S3 PUT", "S3 GET", "Glue")))
    assert f"{12 * by_flush} $ in place of {by_flush} $" in PAGE
