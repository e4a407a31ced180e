"""A record of the schemas topic that is no definition is refused with its place."""

from __future__ import annotations

import pytest

from datafingerprint.adapters.kafka.definitions import decode_definition
from datafingerprint.errors import WireError
from datafingerprint.recovery import START_OVER


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (b"a stray record", "a control record is not JSON"),
        (b"[]", "a control record is not a JSON object"),
        (b"{}", "a definition has no known form"),
        (b'{"version": 1, "definition": {}}', "a definition has no known form"),
    ],
)
def test_what_is_no_definition_is_refused_with_how_to_start_over(payload: bytes, what: str) -> None:
    with pytest.raises(WireError) as refused:
        decode_definition(payload, "x.schemas:7")
    assert str(refused.value) == f"{what} at x.schemas:7: {START_OVER}"
