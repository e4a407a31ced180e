"""What the error of a wrong setting says is done to the letter, and the settings are accepted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

from api.server import require_token
from datafingerprint.adapters.iceberg.connection import _prepared_url
from datafingerprint.adapters.kafka.clients import connection as kafka_connection
from datafingerprint.adapters.mysql.connection import _tls
from datafingerprint.adapters.runtime.scratch import TemporaryScratch
from datafingerprint.adapters.runtime.settings import read_settings
from datafingerprint.adapters.state.engine import open_engine
from datafingerprint.config import Settings
from datafingerprint.errors import Stop

AUTHORITY = trustme.CA()

Use = Callable[[Settings], object]


@dataclass(frozen=True, slots=True)
class Given:
    """A settings file and variables.

    Attributes:
        file: The text of the settings file.
        variables: Environment variables.
    """

    file: str = ""
    variables: dict[str, str] = field(default_factory=dict)


def accept(given: Given, use: Use, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads the settings as a service does, and uses them."""
    Path("datafingerprint.toml").write_bytes(given.file.encode("utf-8", "surrogateescape"))
    with monkeypatch.context() as patch:
        for name, value in given.variables.items():
            patch.setenv(name, value)
        settings = read_settings()
    use(settings)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of its own, with a file of a secret and one of an authority."""
    monkeypatch.chdir(tmp_path)
    AUTHORITY.cert_pem.write_to_path(tmp_path / "ca.pem")
    (tmp_path / "secret").write_text("a secret\n", encoding="utf-8")
    return tmp_path


def nothing(_settings: Settings) -> None:
    """Reading them is all."""


def state(settings: Settings) -> None:
    open_engine(settings.state.url.get_secret_value()).dispose()


def catalog(settings: Settings) -> None:
    _prepared_url(settings.lake.catalog.get_secret_value())


def source_tls(settings: Settings) -> None:
    _tls(settings.source)


def kafka(settings: Settings) -> None:
    kafka_connection(settings.kafka)


def api(settings: Settings) -> None:
    require_token(settings.api)


def scratch(settings: Settings) -> None:
    TemporaryScratch(settings.scratch.directory)


CASES: dict[str, tuple[Use, Given, str, Given]] = {
    "unknown setting": (
        nothing,
        Given("[kafka]\nbootstraps = 'host:9092'\n"),
        r"unknown setting kafka.bootstraps: did you mean (\w+)\?",
        Given("[kafka]\n{0} = 'host:9092'\n"),
    ),
    "unknown variable": (
        nothing,
        Given(variables={"DFP_KAFKA_PREFIXX": "x"}),
        r"unknown variable DFP_KAFKA_PREFIXX: did you mean (\w+)\?",
        Given(variables={"{0}": "x"}),
    ),
    "old and new name": (
        nothing,
        Given("[cdc]\nspill_octets = 1000000\nspill_bytes = 2000000\n"),
        "both cdc.spill_octets and cdc.spill_bytes are set: remove cdc.spill_octets, which is the old name",
        Given("[cdc]\nspill_bytes = 2000000\n"),
    ),
    "invalid value": (
        nothing,
        Given("[cdc]\nepoch_rows = 'many'\n"),
        r"invalid value for setting cdc.epoch_rows: input should be a valid (integer)",
        Given("[cdc]\nepoch_rows = 1000\n"),
    ),
    "variable that is not UTF-8": (
        nothing,
        Given(variables={"DFP_SOURCE_USER": "\udcff"}),
        "variable DFP_SOURCE_USER is not UTF-8: save and export it as UTF-8",
        Given(variables={"DFP_SOURCE_USER": "ÿ"}),
    ),
    "secret with a NUL": (
        nothing,
        Given('[source]\npassword = "a\\u0000b"\n'),
        "setting source.password contains a NUL, or is not UTF-8: write it as UTF-8 without a NUL",
        Given('[source]\npassword = "ab"\n'),
    ),
    "secret for a header": (
        nothing,
        Given("[api]\ntoken = 'ünsicher'\n"),
        "setting api.token has a character that an HTTP header cannot hold: use printable ASCII",
        Given("[api]\ntoken = 'unsicher'\n"),
    ),
    "file that is not TOML": (
        nothing,
        Given("[source\n"),
        r"is not TOML \(.*at line 1, column 8\)\): correct it at that place",
        Given("[source]\n"),
    ),
    "file that is not UTF-8": (
        nothing,
        Given("[source]\nuser = '\udcff'\n"),
        r"is not UTF-8, at byte 17: save it as UTF-8",
        Given("[source]\nuser = 'ÿ'\n"),
    ),
    "file that is not there": (
        nothing,
        Given(variables={"DFP_CONFIG": "nowhere.toml"}),
        r"cannot read nowhere.toml \(No such file or directory\): name a file that this user may read in DFP_CONFIG",
        Given(variables={"DFP_CONFIG": "datafingerprint.toml"}),
    ),
    "secret whose file is not there": (
        nothing,
        Given("[source]\npassword_file = 'nowhere'\n"),
        r"source.password_file: cannot read .*nowhere \(No such file or directory\): name a file of UTF-8 text",
        Given("[source]\npassword_file = 'secret'\n"),
    ),
    "secret whose file has no name": (
        nothing,
        Given("[source]\npassword_file = 5\n"),
        "source.password_file: write the name of a file that holds the secret",
        Given("[source]\npassword_file = 'secret'\n"),
    ),
    "secret and its file": (
        nothing,
        Given("[source]\npassword = 'x'\npassword_file = 'secret'\n"),
        "both source.password and source.password_file are set: keep one of them",
        Given("[source]\npassword_file = 'secret'\n"),
    ),
    "secret of an engine and its file": (
        nothing,
        Given("[engines.big]\nkind = 'trino'\npassword = 'x'\npassword_file = 'secret'\n"),
        "both engines.big.password and engines.big.password_file are set: keep one of them",
        Given("[engines.big]\nkind = 'trino'\npassword = 'x'\n"),
    ),
    "variable and its file": (
        nothing,
        Given(variables={"DFP_API_TOKEN": "x", "DFP_API_TOKEN_FILE": "secret"}),
        "both DFP_API_TOKEN and DFP_API_TOKEN_FILE are set: keep one of them",
        Given(variables={"DFP_API_TOKEN_FILE": "secret"}),
    ),
    "ambiguous URL": (
        nothing,
        Given("[state]\nurl = 'postgresql://user:p@ss@host/state'\n"),
        r"state.url has more than one @.*: set (state\.user) and (state\.password) apart from the URL",
        Given("[state]\nurl = 'postgresql://host/state'\nuser = 'user'\npassword = 'p@ss'\n"),
    ),
    "ambiguous URL, encoded": (
        nothing,
        Given("[state]\nurl = 'postgresql://user:p@ss@host/state'\n"),
        r"percent-encode them in it \(@ is (%40),",
        Given("[state]\nurl = 'postgresql://user:p{0}ss@host/state'\n"),
    ),
    "user in two places": (
        nothing,
        Given("[state]\nurl = 'postgresql://user@host/state'\nuser = 'user'\n"),
        "both state.user and state.url have it: remove it from state.url",
        Given("[state]\nurl = 'postgresql://host/state'\nuser = 'user'\n"),
    ),
    "state store that is no URL": (
        state,
        Given("[state]\nurl = 'nonsense'\n"),
        r"state.url is no database URL: write (sqlite:///path/of/state.db)",
        Given("[state]\nurl = '{0}'\n"),
    ),
    "state store in memory": (
        state,
        Given("[state]\nurl = 'sqlite://'\n"),
        r"state.url names a database in memory, .*: write (sqlite:///path/of/state.db)",
        Given("[state]\nurl = '{0}'\n"),
    ),
    "state store of another kind": (
        state,
        Given("[state]\nurl = 'mysql://host/state'\n"),
        r"does not know: use sqlite:///path/of/state.db or (postgresql://host/database)",
        Given("[state]\nurl = '{0}'\n"),
    ),
    "state store with another driver": (
        state,
        Given("[state]\nurl = 'postgresql+asyncpg://host/state'\n"),
        r"which is not supported: write (postgresql://host/database)",
        Given("[state]\nurl = '{0}'\n"),
    ),
    "state store where nothing may be written": (
        state,
        Given("[state]\nurl = 'sqlite:////proc/none/state.db'\n"),
        "let this user write there, or name another place as state.url",
        Given("[state]\nurl = 'sqlite:///none/state.db'\n"),
    ),
    "catalog that is no URL": (
        catalog,
        Given("[lake]\ncatalog = 'nonsense'\n"),
        r"lake.catalog is not a SQLAlchemy URL: write \[lake\] catalog as \S+ or (postgresql://host/database)",
        Given("[lake]\ncatalog = '{0}'\n"),
    ),
    "catalog where nothing may be written": (
        catalog,
        Given("[lake]\ncatalog = 'sqlite:////proc/none/catalog.db'\n"),
        r"let this user write there, or name another place as \[lake\] catalog",
        Given("[lake]\ncatalog = 'sqlite:///none/catalog.db'\n"),
    ),
    "authority without verification": (
        source_tls,
        Given("[source]\ntls = 'required'\ntls_ca = 'ca.pem'\n"),
        r"tls_ca has no effect .*: set source.tls to (verify_ca) or verify_identity",
        Given("[source]\ntls = '{0}'\ntls_ca = 'ca.pem'\n"),
    ),
    "certificate without TLS": (
        source_tls,
        Given("[source]\ntls = 'disabled'\ntls_cert = 'cert'\n"),
        r"tls_cert has no effect .*: set source.tls to (required), verify_ca",
        Given("[source]\ntls = '{0}'\n"),
    ),
    "certificate without its key": (
        source_tls,
        Given("[source]\ntls = 'required'\ntls_cert = 'secret'\n"),
        "tls_cert and source.tls_key belong together: set both, or (neither)",
        Given("[source]\ntls = 'required'\n"),
    ),
    "authority that is not there": (
        source_tls,
        Given("[source]\ntls = 'verify_ca'\ntls_ca = 'nowhere'\n"),
        r"there is no file .*nowhere: check \[source\] tls_ca",
        Given("[source]\ntls = 'verify_ca'\ntls_ca = 'ca.pem'\n"),
    ),
    "authority that is none": (
        source_tls,
        Given("[source]\ntls = 'verify_ca'\ntls_ca = 'secret'\n"),
        r"a file of \[source\] tls cannot be used .*: check \[source\] tls_ca",
        Given("[source]\ntls = 'verify_ca'\ntls_ca = 'ca.pem'\n"),
    ),
    "login without a user": (
        kafka,
        Given("[kafka]\nsecurity = 'sasl_plaintext'\n"),
        r"kafka.security is sasl_plaintext: set kafka.(user) and kafka.(password)",
        Given("[kafka]\nsecurity = 'sasl_plaintext'\n{0} = 'x'\n{1} = 'y'\n"),
    ),
    "broker's authority that is not there": (
        kafka,
        Given("[kafka]\nsecurity = 'ssl'\nca_file = 'nowhere'\n"),
        r"there is no file .*nowhere: check \[kafka\] ca_file",
        Given("[kafka]\nsecurity = 'ssl'\nca_file = 'ca.pem'\n"),
    ),
    "address that others reach": (
        api,
        Given("[api]\nhost = '0.0.0.0'\n"),
        r"set api.token to at least (16) random characters, or use 127.0.0.1 as api.host",
        Given("[api]\nhost = '0.0.0.0'\ntoken = '0123456789abcdef'\n"),
    ),
    "address that others reach, given up": (
        api,
        Given("[api]\nhost = '0.0.0.0'\n"),
        r"or use (127.0.0.1) as api.host",
        Given("[api]\nhost = '{0}'\n"),
    ),
    "temporary files": (
        scratch,
        Given("[scratch]\ndirectory = '/proc/none'\n"),
        r"create the directory, or set \[scratch\] directory to a writable one",
        Given("[scratch]\ndirectory = '.'\n"),
    ),
}


def filled(given: Given, values: tuple[str, ...]) -> Given:
    """The settings with what the remedy named."""

    def fill(text: str) -> str:
        return re.sub(r"\{(\d)\}", lambda place: values[int(place[1])], text)

    return Given(fill(given.file), {fill(name): fill(value) for name, value in given.variables.items()})


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_what_the_error_of_a_setting_says_makes_it_accepted(
    case: tuple[Use, Given, str, Given], monkeypatch: pytest.MonkeyPatch
) -> None:
    use, wrong, error, right = case
    with pytest.raises(Stop) as raised:
        accept(wrong, use, monkeypatch)
    assert raised.value.remedy
    said = re.search(error, str(raised.value))
    assert said is not None, str(raised.value)
    accept(filled(right, said.groups()), use, monkeypatch)
