"""Plain-text prose of Markdown pages: sentences without code, tables and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`]*`")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_ITEM = re.compile(r"^\s*(?:[*-]|\d+\.)\s+", re.MULTILINE)
_END = re.compile(r"(?<=[.!?:;])\s+(?=[\"*A-Z(])")


def without_code_blocks(text: str) -> str:
    """The page without its fenced code blocks."""
    return _FENCE.sub("\n\n", text)


def prose(text: str) -> str:
    """The page without fenced code, tables, headings and HTML comments; inline code is one word."""
    text = without_code_blocks(text)
    lines = ["" if line.lstrip().startswith(("|", "#", "<", ">")) else line for line in text.splitlines()]
    return _LINK.sub(r"\1", _CODE.sub("Code", "\n".join(lines)))


def sentences(text: str) -> Iterator[str]:
    """Each sentence of the prose; a list item or paragraph ends one."""
    for paragraph in re.split(r"\n\s*\n|(?=^\s*(?:[*-]|\d+\.)\s+)", prose(text), flags=re.MULTILINE):
        flat = " ".join(_ITEM.sub("", paragraph).split())
        yield from filter(None, _END.split(flat))


def pages(root: Path) -> list[Path]:
    """The Markdown pages that are held to the rules."""
    return sorted([root / "ARCHITECTURE.md", root / "README.md", *root.glob("docs/**/*.md")])
