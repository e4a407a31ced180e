"""Airflow finds everything that the provider has."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path

import jsonschema
from airflow.sdk.module_loading import import_string

from airflow_provider_datafingerprint import __version__, get_provider_info


def test_airflows_schema_accepts_it_and_every_name_in_it_exists() -> None:
    info = get_provider_info.get_provider_info()
    schema = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(info, schema)
    names = [*info["notifications"], *info["extra-links"], info["asset-uris"][0]["handler"]]
    names += [connection["hook-class-name"] for connection in info["connection-types"]]
    assert all(map(import_string, names))
    assert info["versions"][0] == __version__


def test_the_entry_point_leads_to_it() -> None:
    result = [
        point.load()()
        for point in entry_points(group="apache_airflow_provider")
        if point.dist is not None and point.dist.name == "airflow-provider-datafingerprint"
    ]
    assert [info["connection-types"][0]["connection-type"] for info in result] == ["datafingerprint"]


def test_every_module_is_listed() -> None:
    info = get_provider_info.get_provider_info()
    package = Path(get_provider_info.__file__).parent
    listed = {
        name for kind in ("hooks", "operators", "sensors", "triggers") for name in info[kind][0]["python-modules"]
    }
    there = {
        f"airflow_provider_datafingerprint.{folder}.{file.stem}"
        for folder in ("hooks", "operators", "sensors", "triggers")
        for file in (package / folder).glob("[!_]*.py")
    }
    assert listed == there
