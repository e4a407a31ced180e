"""What Airflow asks of every provider: its `provider.yaml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_HERE = Path(__file__).parent
_PLACES = (_HERE / "provider.yaml", _HERE.parents[1] / "provider.yaml")
"""In a wheel the file is inside the package, in a checkout it is at the distribution's root."""


def get_provider_info() -> dict[str, Any]:
    """Returns: the content of `provider.yaml`."""
    text = next(place for place in _PLACES if place.is_file()).read_text(encoding="utf-8")
    info: dict[str, Any] = yaml.safe_load(text)
    return info
