"""Renders the answers of REST as TypeScript, for the check of the dashboard.

`python -m deploy.dashboard.answers` writes `types/answers.d.ts`; a test holds the file against the models.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from api.application import create_app

FILE = Path(__file__).parent / "types" / "answers.d.ts"

_PLAIN = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}

Schema = Mapping[str, Any]


def schemas() -> Mapping[str, Schema]:
    """The models of every path, by name."""
    nothing = cast("Any", SimpleNamespace())  # no path is called
    app = create_app(
        nothing,
        nothing,
        scans=nothing,
        incident_reader=nothing,
        resync_requests=nothing,
        diff=nothing,
        actions=nothing,
    )
    return cast("Mapping[str, Schema]", app.openapi()["components"]["schemas"])


def rendered(models: Mapping[str, Schema]) -> str:
    """All models as interfaces of the namespace `Api`."""
    lines = ["// Made by python -m deploy.dashboard.answers from the models of api/. Do not edit.", ""]
    lines.append("declare namespace Api {")
    for name, schema in sorted(models.items()):
        lines += [f"  {line}" for line in _interface(name, schema)]
    return "\n".join([*lines, "}", ""])


def _interface(name: str, schema: Schema) -> Iterator[str]:
    yield f"interface {name} {{"
    for key, value in schema.get("properties", {}).items():
        yield f"  {key}: {_type(value)};"
    yield "}"


def _type(schema: Schema) -> str:
    """A schema as a type. What it does not know is `any`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " | ".join(dict.fromkeys(_type(option) for option in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "array":
            return f"Array<{_type(schema.get('items', {}))}>"
        case "object":
            values = schema.get("additionalProperties")
            return f"Record<string, {_type(values) if isinstance(values, dict) else 'any'}>"
        case kind:
            return _PLAIN.get(str(kind), "any")


if __name__ == "__main__":
    FILE.write_text(rendered(schemas()), encoding="utf-8")
