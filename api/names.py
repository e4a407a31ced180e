"""Names in requests: bounded plain text, and one segment of a path each, in any encoding."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, unquote

from pydantic import AfterValidator, StringConstraints
from starlette.convertors import Convertor, register_url_convertor

TABLE_CHARACTERS_MAX = 512
PARTITION_CHARACTERS_MAX = 8_192
CURSOR_CHARACTERS_MAX = 32_768
ENGINE_CHARACTERS_MAX = 256
NOTE_CHARACTERS_MAX = 4_096

ONE_NAME = "name"
NAMES = "names"


def plain(text: str) -> str:
    """Checks a name and returns it unchanged.

    Raises:
        ValueError: The name holds half a surrogate pair or a NUL, which neither UTF-8 nor a database has.
    """
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("a name has neither NUL nor half a surrogate pair")
    return text


Table = Annotated[str, StringConstraints(max_length=TABLE_CHARACTERS_MAX), AfterValidator(plain)]
Partition = Annotated[str, StringConstraints(max_length=PARTITION_CHARACTERS_MAX), AfterValidator(plain)]
Engine = Annotated[str, StringConstraints(max_length=ENGINE_CHARACTERS_MAX), AfterValidator(plain)]


class NameConvertor(Convertor[str]):
    """One encoded segment of a path, in which a `/` of the name is `%2F`."""

    regex = "[^/]+"

    def convert(self, value: str) -> str:
        """The name."""
        return unquote(value)

    def to_string(self, value: str) -> str:
        """The segment."""
        return quote(value, safe="")


class NamesConvertor(NameConvertor):
    """The rest of a path. A partition's name has a `/` between its fields, plain or as `%2F`."""

    regex = ".+"


register_url_convertor(ONE_NAME, NameConvertor())
register_url_convertor(NAMES, NamesConvertor())
