"""A database URL means one thing or is refused, and no error holds any part of it."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import make_url

from datafingerprint.config import Settings, load_settings
from datafingerprint.database_urls import require_plain, with_login
from datafingerprint.errors import ConfigError

NAMES = ("state.url", "state.user", "state.password")
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)


@given(TEXTS, TEXTS)
def test_user_and_password_reach_the_database_as_they_are(user: str, password: str) -> None:
    state = load_settings(
        {"state": {"url": "postgresql://db.example:5433/dfp?sslmode=require", "user": user, "password": password}}, {}
    ).state
    url = make_url(state.database.get_secret_value())
    assert (url.username, url.password) == (user, password)
    assert (url.host, url.port, url.database, dict(url.query)) == ("db.example", 5433, "dfp", {"sslmode": "require"})


@given(TEXTS, TEXTS)
def test_an_encoded_login_in_the_url_is_read_as_it_is(user: str, password: str) -> None:
    text = f"postgresql://{quote(user, safe='')}:{quote(password, safe='')}@db.example/dfp"
    require_plain(text, *NAMES)
    url = make_url(text)
    assert (url.username, url.password, url.host, url.database) == (user, password, "db.example", "dfp")


@given(TEXTS)
def test_a_password_as_it_is_in_the_url_is_read_whole_or_refused(password: str) -> None:
    text = f"postgresql://dfp:{password}@db.example:5433/dfp"
    try:
        require_plain(text, *NAMES)
    except ConfigError as error:
        assert "percent-encode" in error.remedy  # noqa: PT017 - both outcomes are right
    else:
        url = make_url(text)
        assert (url.username, url.host, url.port, url.database) == ("dfp", "db.example", 5433, "dfp")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://dfp:hun@ter2@db/dfp",
        "postgresql://dfp:hun@ter2/x@db/dfp",
        "postgresql://dfp:hun/te@r2@db/dfp",
        "postgresql://d/fp:hunter2@db/dfp",
        "postgresql://d?fp:hunter2@db/dfp",
        "postgresql://dfp:hunter2",
        "postgresql://dfp:hunter2/dfp",
        "postgresql://dfp:pass@db:hunter2/dfp",
        "postgresql+psycopg://dfp:hun@ter2@db/dfp",
        "mysql://dfp:hun@ter2@db/dfp",
    ],
)
@pytest.mark.parametrize("setting", [("state", "url"), ("lake", "catalog")])
def test_a_url_that_could_be_split_elsewhere_is_refused_without_being_shown(url: str, setting: tuple[str, str]) -> None:
    section, field = setting
    with pytest.raises(ConfigError, match=rf"setting {section}\.{field} has .* (is ambiguous|%40)") as refused:
        load_settings({section: {field: url}}, {})
    assert not [part for part in ("hun", "ter2", "dfp:", "te@") if part in str(refused.value)]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////data/a@b/c@d.db",
        "sqlite:///state.db",
        "postgresql://dfp@db/dfp",
        "postgresql://db/dfp",
        "postgresql://db",
        "postgresql:///dfp?host=/run/postgresql",
        "postgresql://dfp:p%40ss@[::1]:5432/dfp",
        "postgresql://[::1]/dfp",
        "postgresql://dfp:a:b/c#d?e@db:5432/dfp?options=-csearch_path%3Dx",
        "nonsense",
        "",
    ],
)
def test_a_plain_url_passes(url: str) -> None:
    require_plain(url, *NAMES)


def test_a_password_joins_the_user_of_the_url() -> None:
    assert with_login("postgresql://dfp@db/x", "", "p@s/s") == "postgresql://dfp:p%40s%2Fs@db/x"
    assert with_login("postgresql://:secret@db/x", "dfp", "") == "postgresql://dfp:secret@db/x"
    assert with_login("postgresql://db/x", "dfp", "") == "postgresql://dfp@db/x"
    assert with_login("sqlite:///x", "dfp", "secret") == "sqlite:///x"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"state": {"url": "postgresql://a@b/c", "user": "d"}}, r"both state\.user and state\.url have it"),
        ({"state": {"url": "postgresql://a:x@b/c", "password": "d"}}, r"both state\.password and state\.url have it"),
        ({"api": {"token": "hunter2-hunter2\nx"}}, r"api\.token has a character that an HTTP header"),
        ({"api": {"token": "hunter2-hünter2-"}}, r"api\.token has a character that an HTTP header"),
        ({"s3": {"session_token": "hunter2\r"}}, r"s3\.session_token has a character"),
        ({"source": {"password": "hun\0ter2"}}, r"source\.password contains a NUL"),
    ],
)
def test_a_login_is_named_once_and_holds_what_a_client_can_send(document: dict[str, dict[str, str]], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        load_settings(document, {})
    assert "hun" not in str(refused.value)


def test_bytes_that_are_no_text_are_refused_by_the_name_of_their_variable() -> None:
    with pytest.raises(ConfigError, match="variable DFP_SOURCE_PASSWORD is not UTF-8") as refused:
        load_settings({}, {"DFP_SOURCE_PASSWORD": b"hunter2\xff".decode("utf-8", "surrogateescape")})
    assert "hunter2" not in str(refused.value)


def test_no_secret_shows_in_the_settings() -> None:
    given = {
        "lake": {"catalog": "postgresql://db/x", "catalog_user": "u", "catalog_password": "hunter2"},
        "state": {"url": "postgresql://db/x", "user": "u", "password": "hunter2"},
    }
    settings: Settings = load_settings(given, {})
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.lake.database} {settings.state.database!r}"
    assert "hunter2" not in shown
