"""The chart renders to what Kubernetes takes, and its services are ones that the project has.

Helm renders; nothing runs on a cluster here.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.server import require_token
from datafingerprint.config import environment_names, load_settings, secret_names
from deploy.supervision.programs import SERVICES
from tests.deploy.test_compose import require_taken

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "datafingerprint"
HELM = shutil.which("helm") or shutil.which("helm", path=str(ROOT / ".local" / "helm" / "bin"))
VERSIONS = ("1.29", "1.33")
HEALTH = "/tmp/alive"  # noqa: S108 - a volume of the pod's own
OPERATORS = {"ServiceMonitor", "PrometheusRule"}
"""Objects of the Prometheus operator, of which Kubernetes has no schema."""

pytestmark = pytest.mark.skipif(
    HELM is None, reason="NOT RUN: the chart, for helm is not installed (./run install helm)"
)


def helm(*words: str) -> str:
    done = subprocess.run([str(HELM), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rendered(*settings: str, version: str = VERSIONS[-1]) -> list[dict[str, Any]]:
    options = [word for setting in settings for word in ("--set", setting)]
    text = helm("template", "games", str(CHART), "--kube-version", version, *options)
    return [document for document in yaml.safe_load_all(text) if document]


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return rendered("monitoring.serviceMonitor=true", "monitoring.prometheusRule=true")


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in objects if item["kind"] == kind}


def containers(objects: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    pods = [item["spec"]["template"]["spec"] for item in of_kind(objects, "Deployment").values()]
    return {container["name"]: container for pod in pods for container in pod["containers"]}


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {item["name"]: item.get("value", "a secret, long enough") for item in container["env"]}


def test_helm_finds_nothing_to_complain_of() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_one_that_kubernetes_takes(version: str) -> None:
    validate = pytest.importorskip("kubernetes_validate", reason="NOT RUN: kubernetes-validate is not installed")
    objects = rendered("monitoring.serviceMonitor=true", "monitoring.prometheusRule=true", version=version)
    checked = [entry for entry in objects if entry["kind"] not in OPERATORS]
    for item in checked:
        validate.validate(item, version, strict=True)
    assert {item["kind"] for item in checked} == {
        "ConfigMap", "Deployment", "PodDisruptionBudget", "Service", "ServiceAccount",
    }  # fmt: skip
    deployment = next(item for item in checked if item["kind"] == "Deployment")
    wrong = deployment | {"spec": deployment["spec"] | {"replicas": "one"}}
    with pytest.raises(validate.ValidationError):
        validate.validate(wrong, version, strict=True)


def test_every_service_but_the_generator_has_a_deployment_that_may_be_moved(objects: list[dict[str, Any]]) -> None:
    deployments, budgets = of_kind(objects, "Deployment"), of_kind(objects, "PodDisruptionBudget")
    assert len(deployments) == len(SERVICES) - 1
    assert deployments.keys() == budgets.keys()
    for name, deployment in deployments.items():
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        for selector in (deployment["spec"]["selector"], budgets[name]["spec"]["selector"]):
            assert selector["matchLabels"].items() <= labels.items()
        assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]["type"]) == (1, "Recreate")
        assert budgets[name]["spec"]["maxUnavailable"] == 1


def test_every_container_runs_a_command_and_settings_that_our_program_takes(objects: list[dict[str, Any]]) -> None:
    (config,) = of_kind(objects, "ConfigMap").values()
    document = tomllib.loads(config["data"]["datafingerprint.toml"])
    for name, container in containers(objects).items():
        require_taken(container["args"])
        given = environment(container)
        assert set(given) - {"DFP_CONFIG"} <= set(environment_names())
        settings = load_settings(document, given)
        assert settings.health.file == HEALTH
        if name == "api":
            require_token(settings.api)


def test_secrets_are_references_and_in_no_object(objects: list[dict[str, Any]]) -> None:
    secrets = {f"DFP_{section}_{field}".upper() for section, field in secret_names()} - {
        "DFP_LAKE_CATALOG",
        "DFP_STATE_URL",
    }
    for container in containers(objects).values():
        for variable in container["env"]:
            if variable["name"] in secrets:
                assert set(variable["valueFrom"]["secretKeyRef"]) == {"name", "key"}
                assert "value" not in variable
    assert not of_kind(objects, "Secret")
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    assert not re.search(r"password\s*=|secret_key\s*=|token\s*=", text)


def test_probes_resources_and_rights_of_every_container(objects: list[dict[str, Any]]) -> None:
    for name, container in containers(objects).items():
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert set(container[probe]) & {"httpGet", "exec"} == {"httpGet" if name == "api" else "exec"}
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert str(Path(HEALTH).parent) in {mount["mountPath"] for mount in container["volumeMounts"]}
    api = containers(objects)["api"]
    paths = {api[probe]["httpGet"]["path"] for probe in ("livenessProbe", "readinessProbe")}
    assert paths == {"/healthz", "/readyz"}


def mib(quantity: str) -> float:
    number, unit = re.fullmatch(r"(\d+)(Mi|Gi)", quantity).groups()  # type: ignore[union-attr]
    return int(number) * (1024 if unit == "Gi" else 1)


@pytest.mark.parametrize(("name", "measured"), [("capture", 203), ("lake-writer", 393), ("fingerprinter", 291)])
def test_requests_hold_the_memory_that_was_measured_and_limits_leave_room(
    name: str, measured: int, objects: list[dict[str, Any]]
) -> None:
    resources = containers(objects)[name]["resources"]
    assert f"{measured} MiB" in (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    assert mib(resources["requests"]["memory"]) >= measured
    assert mib(resources["limits"]["memory"]) >= 2 * measured


def test_the_service_and_the_monitor_reach_the_rest_service(objects: list[dict[str, Any]]) -> None:
    (service,), (monitor,) = of_kind(objects, "Service").values(), of_kind(objects, "ServiceMonitor").values()
    (deployment,) = [item for name, item in of_kind(objects, "Deployment").items() if name.endswith("-api")]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    (port,) = containers(objects)["api"]["ports"]
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert (endpoint["port"], endpoint["path"]) == (service["spec"]["ports"][0]["name"], "/metrics")
    assert endpoint["authorization"]["credentials"] == {"name": "datafingerprint", "key": "api-token"}


def test_the_rules_are_those_that_are_tested(objects: list[dict[str, Any]]) -> None:
    tested = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    assert (CHART / "files" / "alerts.yml").read_text(encoding="utf-8") == tested
    (rule,) = of_kind(objects, "PrometheusRule").values()
    assert rule["spec"] == yaml.safe_load(tested)


def test_a_change_of_settings_starts_the_pods_again() -> None:
    def checksums(*settings: str) -> set[str]:
        result = of_kind(rendered(*settings), "Deployment").values()
        return {json.dumps(item["spec"]["template"]["metadata"]["annotations"]) for item in result}

    assert checksums().isdisjoint(checksums("settings=[log]"))
    assert len(checksums()) == 1


def test_the_chart_has_the_projects_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert chart["version"] == chart["appVersion"] == project["version"]
