"""A line of a text log can be parsed back, for any text in its values."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from datafingerprint.adapters.runtime.logging import configure_logging, render_text
from datafingerprint.config import Log

PAIR = re.compile(r'(?P<key>[a-z_]+)=(?P<value>"(?:[^"\\]|\\.)*"|[^\s"]*)(?: |$)')


def read_back(line: str) -> dict[str, str]:
    """The pairs of a line, as any reader of logfmt parses them."""
    pairs, at = {}, 0
    while at < len(line):
        match = PAIR.match(line, at)
        assert match is not None, line[at:]
        text = match["value"]
        pairs[match["key"]] = json.loads(text) if text.startswith('"') else text
        at = match.end()
    return pairs


@given(st.text())
@example('say "hi"')
@example("two words")
@example("line\nbreak\\")
@example("")
@example("a=b")
@example("\x1b[31mred\u2028")
@example('["a"]')
def test_a_value_is_read_back_as_it_was_and_keeps_to_its_line(text: str) -> None:
    line = render_text(None, "info", {"event": "table came under watch", "what": text, "level": "info"})
    assert list(read_back(line).items()) == [("level", "info"), ("event", "table came under watch"), ("what", text)]
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(("value", "text"), [(3, "3"), (None, "None"), (["a", "b"], "\"['a', 'b']\""), (0.5, "0.5")])
def test_other_values_are_written_as_python_shows_them(value: object, text: str) -> None:
    assert render_text(None, "info", {"event": "x", "value": value}) == f"event=x value={text}"


def test_the_format_is_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging(Log(format="text"), "cdc").info("snapshot complete", table="a b")
    configure_logging(Log(format="json"), "cdc").info("snapshot complete", table="a b")
    text, machine = capsys.readouterr().err.splitlines()
    assert 'service=cdc event="snapshot complete" table="a b"' in text
    assert json.loads(machine)["table"] == "a b"
