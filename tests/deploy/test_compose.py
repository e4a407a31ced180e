"""`docker-compose.yml` says nothing that the services, the settings or the embedded parts do not know."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from api.server import require_token
from commands.__main__ import main
from datafingerprint.adapters.runtime.health_file import HealthFile
from datafingerprint.config import environment_names, load_settings
from deploy.compose.bucket import is_made
from deploy.compose.bucket import main as make_bucket
from deploy.embedded.blueprint import draw_blueprint
from deploy.embedded.mysql import MySQL
from deploy.embedded.stack import ANY_PORTS, EmbeddedStack
from deploy.supervision.programs import SERVICES

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"
EXAMPLE = ROOT / "deploy" / "compose" / "env.example"

# What version 1.29 knows of a service, as far as it is used here.
KNOWN = {
    "build",
    "command",
    "depends_on",
    "entrypoint",
    "environment",
    "healthcheck",
    "image",
    "logging",
    "ports",
    "restart",
    "stop_grace_period",
    "volumes",
}


def variables() -> dict[str, str]:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def filled(text: str) -> str:
    """The text with `${NAME…}` as docker-compose fills it in, and `$$` as `$`."""
    given = variables()
    wanted = r"(?<!\$)\$\{([A-Z0-9_]+)(?::-([^}]*)|:\?[^}]*)?\}"
    text = re.sub(wanted, lambda match: given[match[1]] if match[2] is None else given.get(match[1], match[2]), text)
    return text.replace("$$", "$")


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(filled(FILE.read_text(encoding="utf-8")))
    return document


def services(*, ours: bool) -> dict[str, dict[str, Any]]:
    return {name: item for name, item in compose()["services"].items() if ("build" in item) is ours}


def commands() -> dict[str, list[str]]:
    return {name: item["command"] for name, item in services(ours=True).items() if "entrypoint" not in item}


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_is_one_that_our_own_program_takes(name: str) -> None:
    require_taken(commands()[name])


def require_taken(words: list[str]) -> None:
    """Demands that our own command line takes these words."""
    command, *arguments = words
    with main.make_context("datafingerprint", [command, *arguments]) as group:
        _, result, rest = main.resolve_command(group, [command, *arguments])
        assert result is not None
        result.make_context(command, rest)  # raises what it would refuse


def test_every_service_has_a_container() -> None:
    run = {command for command, *_ in commands().values()}
    assert run == {"capture", "write-lake", "fingerprint", "audit", "notify", "serve", "generate"}
    assert len(run) == len(SERVICES)


@pytest.mark.parametrize("name", sorted(services(ours=True)))
def test_every_environment_is_one_that_our_own_settings_take(name: str) -> None:
    environment = services(ours=True)[name]["environment"]
    assert set(environment) <= set(environment_names())
    settings = load_settings({}, environment)
    if name == "api":
        require_token(settings.api)


def test_every_image_has_a_full_version_the_embedded_parts_own() -> None:
    images = {name: item["image"].rpartition(":") for name, item in compose()["services"].items()}
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for _, _, version in images.values()), images
    pom = (ROOT / "deploy" / "embedded" / "pom.xml").read_text(encoding="utf-8")
    assert images["kafka"][2] in re.findall(r"<kafka\.version>(.*?)<", pom)
    assert images["s3"][2] in re.findall(r"<s3proxy\.version>(.*?)<", pom)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {images[name][2] for name in services(ours=True)} == {project["version"]}


def test_services_reach_one_another_where_they_are() -> None:
    result = compose()["services"]
    settings = load_settings({}, result["capture"]["environment"])
    assert settings.source.host in result
    assert settings.kafka.bootstrap.split(":")[0] in result
    assert settings.s3.endpoint == f"http://s3:{result['s3']['environment']['S3PROXY_ENDPOINT'].rsplit(':')[-1]}"
    assert settings.s3.access_key == result["s3"]["environment"]["S3PROXY_IDENTITY"]
    assert settings.s3.secret_key.get_secret_value() == result["s3"]["environment"]["S3PROXY_CREDENTIAL"]
    assert settings.source.password.get_secret_value() == result["mysql"]["environment"]["SOURCE_PASSWORD"]
    for url in (settings.state.url, settings.lake.catalog):
        assert "sqlite:////data/" in url.get_secret_value()


def test_the_parts_are_set_as_the_embedded_ones_are(tmp_path: Path) -> None:
    parts = draw_blueprint(tmp_path, ANY_PORTS, "mysql")
    flags = services(ours=False)["mysql"]["command"]
    own = {"--log-bin", "--gtid-mode", "--enforce-gtid-consistency", "--binlog-row-image", "--binlog-row-metadata"}
    if isinstance(parts.warehouse, MySQL) and shutil.which("mysqld"):
        embedded = parts.warehouse.command()
        assert [flag for flag in flags if flag not in embedded] == []
    assert own <= {flag.partition("=")[0] for flag in flags}
    known = set(parts.kafka.properties())
    environment = services(ours=False)["kafka"]["environment"]
    given = {name.removeprefix("KAFKA_").lower().replace("_", "."): value for name, value in environment.items()}
    assert set(given) <= known
    for name in known & set(given) - {"listeners", "advertised.listeners", "controller.quorum.voters", "log.dirs"}:
        assert given[name] == parts.kafka.properties()[name], name
    store = services(ours=False)["s3"]["environment"]
    properties = parts.s3.properties()
    assert store["JCLOUDS_PROVIDER"] == properties["jclouds.provider"]
    assert store["S3PROXY_AUTHORIZATION"] == properties["s3proxy.authorization"]
    assert store["S3PROXY_IGNORE_UNKNOWN_HEADERS"] == properties["s3proxy.ignore-unknown-headers"]


def test_it_is_written_in_what_version_1_29_knows() -> None:
    document = compose()
    assert document["version"] == "3.9"
    assert {name for name in document if not name.startswith("x-")} == {"version", "services", "volumes"}
    for name, first in document["services"].items():
        assert set(first) <= KNOWN, name
        for mount in first.get("volumes", []):
            source = mount.split(":")[0]
            assert source in document["volumes"] or (ROOT / source).exists(), mount
        for other in first.get("depends_on", {}):
            condition = first["depends_on"][other]["condition"] if isinstance(first["depends_on"], dict) else None
            assert "healthcheck" in document["services"][other] or condition != "service_healthy", (name, other)
    for folder in re.findall(
        r"^COPY (?!--)(.+) \S+$", (ROOT / "deploy" / "Dockerfile").read_text("utf-8"), re.MULTILINE
    ):
        assert all((ROOT / source).exists() for source in folder.split())


def test_every_container_that_stays_has_a_health_check() -> None:
    assert [name for name, item in compose()["services"].items() if "healthcheck" not in item] == []


def test_everything_comes_back_after_a_restart_of_the_host_but_what_is_done() -> None:
    policies = {name: item["restart"] for name, item in compose()["services"].items()}
    assert policies.pop("bucket") == "on-failure"
    assert set(policies.values()) == {"unless-stopped"}


def test_no_log_grows_without_bound() -> None:
    for name, item in compose()["services"].items():
        assert item["logging"]["driver"] == "json-file", name
        assert set(item["logging"]["options"]) == {"max-size", "max-file"}, name


def test_the_way_out_of_a_stop_that_is_documented_is_one_that_our_own_program_takes() -> None:
    text = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    named = re.findall(r"^docker-compose (stop|run --rm|start|exec) (\S+) ?(.*)$", text, re.MULTILINE)
    assert {how for how, *_ in named} == {"stop", "run --rm", "start", "exec"}
    for how, name, rest in named:
        assert name in commands()
        if rest:
            require_taken(rest.removeprefix("datafingerprint ").split() if how == "exec" else rest.split())


def test_a_service_is_healthy_while_its_sign_of_life_is_young(tmp_path: Path) -> None:
    capture = services(ours=True)["capture"]
    file, name = tmp_path / "alive", capture["environment"]["DFP_HEALTH_FILE"]
    kind, command = capture["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    assert name in command
    check = ["sh", "-c", command.replace(name, str(file))]

    def is_healthy() -> bool:
        return subprocess.run(check, check=False, capture_output=True).returncode == 0

    assert not is_healthy()
    HealthFile(str(file)).is_set()
    assert is_healthy()
    old = time.time() - 400
    os.utime(file, (old, old))
    assert not is_healthy()


def test_no_secret_has_a_default() -> None:
    text = FILE.read_text(encoding="utf-8")
    secrets = [name for name in variables() if "PORT" not in name]
    assert [name for name in secrets if f"${{{name}:?" not in text] == []


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="no docker-compose here")
def test_docker_compose_itself_takes_it(tmp_path: Path) -> None:
    command = ["docker-compose", "--file", str(FILE), "--env-file"]
    done = subprocess.run([*command, str(EXAMPLE), "config", "--quiet"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    (tmp_path / "empty").touch()
    lacking = subprocess.run(
        [*command, str(tmp_path / "empty"), "config", "--quiet"], capture_output=True, text=True, check=False
    )
    assert lacking.returncode != 0
    assert "copy deploy/compose/env.example to .env" in lacking.stderr


def test_the_bucket_s_command_is_one_that_its_program_takes() -> None:
    bucket = services(ours=True)["bucket"]
    assert bucket["entrypoint"] == ["python", "-m", "deploy.compose.bucket"]
    make_bucket.make_context("bucket", bucket["command"])
    with pytest.raises(click.UsageError):
        make_bucket.make_context("bucket", ["--without"])


@pytest.mark.live
def test_the_bucket_is_made_once_and_left_alone_then(stack: EmbeddedStack) -> None:
    settings = load_settings({}, {**stack.environment(), "DFP_S3_BUCKET": "of-compose"})
    assert is_made(settings.s3)
    assert is_made(settings.s3)
    assert not is_made(load_settings({}, {"DFP_S3_ENDPOINT": "http://127.0.0.1:1", "DFP_S3_ACCESS_KEY": "x"}).s3)
