"""Database URLs of the settings: ambiguous ones are refused, user and password are added."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import quote

from datafingerprint.errors import ConfigError

_SQLITE = "sqlite"
_KINDS: dict[str, Literal["rest", "glue"]] = {"http": "rest", "https": "rest", "glue": "glue"}
_PORT = re.compile(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::\d*)?")


def require_plain(url: str, setting: str, user: str, password: str) -> None:
    """Refuses a URL that can be split in several ways.

    Special characters of a password that is not percent-encoded look like the URL's own separators. A part of the
    password would then be taken for the host or the database, and printed in errors. Errors here contain no part of
    the URL.

    Args:
        url: The URL in the settings.
        setting: The name of its setting, for errors.
        user: The setting for its user, for errors.
        password: The setting for its password, for errors.

    Raises:
        ConfigError: the URL is ambiguous.
    """
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] == _SQLITE or not rest:
        return
    before, at, after = rest.rpartition("@")
    problem = ""
    if "@" in before:
        problem = "has more than one @"
    elif at and re.search(r"[/?#]", before.partition(":")[0]):
        problem = "has a / or ? or # in its user"
    elif not _PORT.fullmatch(re.split(r"[/?]", after, maxsplit=1)[0]):
        problem = "has a port that is no number, or a user without @"
    if problem:
        raise ConfigError(
            f"setting {setting} {problem}, so the end of the password is ambiguous",
            remedy=f"set {user} and {password} apart from the URL, or percent-encode them in it "
            "(@ is %40, / is %2F, : is %3A, # is %23, % is %25)",
        )


def catalog_kind(url: str) -> Literal["sql", "rest", "glue"]:
    """The kind of the catalog that a URL names: that of a database is `sql`."""
    return _KINDS.get(url.partition("://")[0].lower(), "sql")


def with_login(url: str, user: str, password: str) -> str:
    """Adds user and password to a URL, percent-encoded.

    Args:
        url: A URL that `require_plain` accepted; that of a file, a REST catalog or Glue gets no login.
        user: The user; empty keeps the URL's.
        password: The password; empty keeps the URL's.
    """
    scheme, _, rest = url.partition("://")
    if not (user or password) or scheme.partition("+")[0] == _SQLITE or catalog_kind(url) != "sql":
        return url
    login, at, address = rest.rpartition("@")
    kept_user, colon, kept_password = login.partition(":") if at else ("", "", "")
    shown = quote(user, safe="") or kept_user
    secret = f":{quote(password, safe='')}" if password else f"{colon}{kept_password}"
    return f"{scheme}://{shown}{secret}@{address}"


def require_one_login(url: str, setting: str, user: tuple[str, str], password: tuple[str, str]) -> None:
    """Refuses a user or password that both a setting and the URL have.

    Args:
        url: The URL in the settings.
        setting: The name of its setting, for errors.
        user: The setting for the user, and its value.
        password: The setting for the password, and its value.

    Raises:
        ConfigError: the URL has one of them too.
    """
    scheme, _, rest = url.partition("://")
    if scheme.partition("+")[0] == _SQLITE:
        return
    there_user, _, there_password = rest.rpartition("@")[0].partition(":")
    for (name, value), there in ((user, there_user), (password, there_password)):
        if value and there:
            raise ConfigError(f"both {name} and {setting} have it", remedy=f"remove it from {setting}")
