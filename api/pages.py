"""The HTML pages and their files, with policies that allow scripts of this service only."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib import resources
from importlib.resources.abc import Traversable
from types import MappingProxyType

_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)
_PLACE = re.compile(r"\{\{(\w+)\}\}")

_MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A page and its `Content-Security-Policy`."""

    text: str
    policy: str


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that a page loads."""

    content: bytes
    media_type: str
    etag: str


def _policy(script: str, style: str, images: str) -> str:
    directives = {
        "default-src": "'none'",
        "script-src": script,
        "style-src": style,
        "connect-src": "'self'",
        "img-src": images,
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in directives.items())


SHELL_POLICY = _policy("'self'", "'self'", "'self'")
"""The policy of the dashboard: files of this service, and nothing inline."""


@cache
def read_text(name: str) -> str:
    """Reads a text of this package."""
    return resources.files("api").joinpath(name).read_text(encoding="utf-8")


@cache
def read_page(name: str) -> Page:
    """Reads a page that has its scripts and styles inline."""
    text = read_text(name)
    return Page(text, policy(text))


def policy(text: str) -> str:
    """The policy of a page: its inline elements by digest, and requests to this service."""
    allowed: dict[str, list[str]] = {"script": [], "style": []}
    for kind, content in _INLINE.findall(text):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        allowed[kind].append(f"'sha256-{digest}'")
    return _policy(" ".join(allowed["script"]) or "'none'", " ".join(allowed["style"]) or "'none'", "data:")


def filled(template: str, values: Mapping[str, str]) -> str:
    """A template with its places `{{name}}` filled.

    Values are escaped. Only those whose name ends in `_html` are put in as they are.
    """

    def value(place: re.Match[str]) -> str:
        name = place.group(1)
        return values[name] if name.endswith("_html") else escape(values[name])

    return _PLACE.sub(value, template)


@cache
def assets() -> Mapping[str, Asset]:
    """Every file below `static/`, by its path there."""
    return MappingProxyType(dict(_assets(resources.files("api").joinpath("static"), "")))


def _assets(folder: Traversable, prefix: str) -> list[tuple[str, Asset]]:
    listed = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        suffix = entry.name.rpartition(".")[2]
        if entry.is_dir():
            listed += _assets(entry, f"{prefix}{entry.name}/")
        elif suffix in _MEDIA_TYPES:
            content = entry.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            listed.append((f"{prefix}{entry.name}", Asset(content, _MEDIA_TYPES[suffix], etag)))
    return listed


@cache
def preloads_html() -> str:
    """Links by which a browser fetches all modules at once, not import by import."""
    scripts = [path for path in assets() if path.endswith(".js")]
    return "\n".join(f'<link rel="modulepreload" href="/static/{escape(path)}">' for path in scripts)
