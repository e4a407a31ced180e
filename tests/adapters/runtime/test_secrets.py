"""No error, log, answer or traceback holds a part of any password, however it is set."""

from __future__ import annotations

import contextlib
import socket
import traceback
from collections.abc import Iterator
from contextlib import closing
from urllib.parse import quote

import anyio
import httpx
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from api.application import create_app
from api.ports import Store
from datafingerprint.adapters.iceberg.connection import open_connection
from datafingerprint.adapters.mysql.source import BinlogSource
from datafingerprint.adapters.state.store import SqlStateStore
from datafingerprint.config import load_settings
from datafingerprint.errors import ConfigError, DataFingerprintError
from tests.api.conftest import FakeLagReader

HEAD, TAIL = "q7ZxQ", "kW3vJ"
TOKEN = "sixteen-or-more-characters"
MIDDLES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.text("@/:#%?&=[]\\ '\"+1aF\n", min_size=1),
)


@pytest.fixture(scope="module")
def closed_port() -> Iterator[int]:
    """A reserved port on which no server listens."""
    with closing(socket.socket()) as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def documents(password: str, port: int) -> list[dict[str, dict[str, object]]]:
    """Every way to set a password."""
    address = f"127.0.0.1:{port}/dfp?connect_timeout=2"
    ways: list[tuple[str, dict[str, object]]] = [
        (f"postgresql://dfp:{password}@{address}", {}),
        (f"postgresql://dfp:{quote(password, safe='')}@{address}", {}),
        (f"postgresql://dfp:{password}", {}),
        (f"postgresql://dfp@{address}", {"password": password}),
        (f"postgresql://{address}", {"user": "dfp", "password": password}),
        ("sqlite:///:memory:", {"password": password}),
    ]
    source = {"host": "127.0.0.1", "port": port, "password": password}
    return [
        {
            "source": source,
            "state": {"url": url, **more},
            "lake": {"catalog": url, **{f"catalog_{name}": value for name, value in more.items()}},
        }
        for url, more in ways
    ]


def answers(store: Store) -> str:
    """How the REST service answers about the store, to callers with and without the token."""
    app = create_app(store, FakeLagReader(), token=TOKEN)

    async def ask() -> str:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            login = {"Authorization": f"Bearer {TOKEN}"}
            shown = [await client.get("/v1/status", headers=login), await client.get("/readyz", headers=login)]
            probe = await client.get("/readyz")
            assert probe.json() == {"error": "not ready"}
            return " ".join(f"{answer.status_code} {answer.text}" for answer in shown)

    return anyio.run(ask)


@settings(max_examples=12, derandomize=True)
@given(middle=MIDDLES)
def test_no_part_of_a_password_is_ever_shown(closed_port: int, middle: str) -> None:
    shown: list[str] = []
    connected = 0
    with structlog.testing.capture_logs() as logs:
        for document in documents(f"{HEAD}{middle}{TAIL}", closed_port):
            try:
                loaded = load_settings(document, {})
            except ConfigError as error:
                shown.append("".join(traceback.format_exception(error)))
                continue
            shown.append(f"{loaded!r} {loaded.model_dump()}")
            for attempt in (
                lambda: open_connection(loaded).close(),  # noqa: B023 - called at once
                lambda: BinlogSource(loaded).preflight(),  # noqa: B023 - as above
                lambda: SqlStateStore(loaded.state.database.get_secret_value()).progress(),  # noqa: B023 - as above
            ):
                with contextlib.suppress(ConfigError):
                    connected += 1
                    try:
                        attempt()
                    except DataFingerprintError as error:
                        shown.append("".join(traceback.format_exception(error)) + repr(error))
            with (
                contextlib.suppress(ConfigError),
                closing(SqlStateStore(loaded.state.database.get_secret_value())) as store,
            ):
                shown.append(answers(store))
    text = " ".join([*shown, *map(str, logs)])
    assert connected >= 9
    assert [text[max(0, text.index(part) - 300) : text.index(part) + 60] for part in (HEAD, TAIL) if part in text] == []
