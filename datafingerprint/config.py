"""Every setting with its name, type, default and meaning, checked when a process starts."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from datafingerprint.database_urls import catalog_kind, require_one_login, require_plain, with_login
from datafingerprint.errors import ConfigError
from datafingerprint.sketch_limits import CELLS_MAX, PLACES

ENVIRONMENT_PREFIX = "DFP_"
CONFIG_VARIABLE = "DFP_CONFIG"

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
SketchCells = Annotated[int, Field(ge=0, le=CELLS_MAX, multiple_of=PLACES)]


@dataclass(frozen=True)
class IsPath:
    """Marks a setting that names a file, a directory, or a database that may be a file."""


FileName = Annotated[str, IsPath()]
DatabaseUrl = Annotated[SecretStr, IsPath()]


def _lower(given: object) -> object:
    return given.lower() if isinstance(given, str) else given


TlsMode = Annotated[
    Literal["disabled", "preferred", "required", "verify_ca", "verify_identity"], BeforeValidator(_lower)
]


class Section(BaseModel):
    """A group of settings. It is frozen, and refuses unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Section):
    """The warehouse."""

    host: str = Field("127.0.0.1", description="Host name of the MySQL or MariaDB server.")
    port: Port = Field(3306, description="Its port.")
    user: str = Field("dfp", description="User with SELECT, REPLICATION SLAVE and BINLOG MONITOR.")
    password: SecretStr = Field(SecretStr(""), description="Its password; never logged.")
    server_id: int = Field(
        0,
        ge=0,
        lt=2**32,
        description="Replica id that capture shows to the server, unique there; 0: one derived from the stream.",
    )
    tables: tuple[str, ...] = Field(
        ("ootp.*",),
        description="Captured tables, `schema.table` or `schema.*`; a leading `!` excludes. "
        "Capture applies changes while it runs.",
    )
    cascades: Literal["heal", "warn"] = Field(
        "heal",
        description="Tables that may have changed by cascades of foreign keys which the source does not log: `heal` "
        "audits them, and reads them again if they differ; `warn` only logs them.",
    )
    on_alter: Literal["follow", "stop"] = Field(
        "follow",
        description="An ALTER that changes rows or columns of a captured table: `follow` follows it, or re-snapshots "
        "the table; `stop` stops capture before it.",
    )
    connect_timeout_s: Seconds = Field(10.0, description="Seconds until an attempt to connect is given up.")
    tls: TlsMode = Field(
        "preferred",
        description="As `--ssl-mode` of MySQL's clients: `disabled`, `preferred` (where the server offers it), "
        "`required`, `verify_ca`, `verify_identity` (and the certificate names `source.host`).",
    )
    tls_ca: FileName = Field(
        "", description="Authorities that may sign the server's certificate; empty: the machine's."
    )
    tls_cert: FileName = Field("", description="Our own certificate, where the account REQUIREs one.")
    tls_key: FileName = Field("", description="The key that belongs to it.")


class Kafka(Section):
    """The broker between the services."""

    bootstrap: str = Field("127.0.0.1:9092", description="Brokers, `host:port`, separated by commas.")
    prefix: str = Field("dfp", description="First part of every topic's name.", pattern=r"^[A-Za-z0-9_-]+$")
    partitions: Count = Field(1, description="Partitions of a table's topic, when it is created.")
    replication_factor: Count = Field(1, description="Copies of every topic, when it is created.")
    timeout_s: Seconds = Field(30.0, description="Seconds until a request to the broker is given up.")
    security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] = Field(
        "plaintext", description="How to talk to the brokers: TLS with `ssl`, a login with `sasl`."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"] = Field(
        "SCRAM-SHA-512", description="How the login is proven, where `kafka.security` has one."
    )
    user: str = Field("", description="User of the login; the client id for `OAUTHBEARER`; not for `AWS_MSK_IAM`.")
    password: SecretStr = Field(SecretStr(""), description="Its password, or the client's secret; never logged.")
    oauth_url: str = Field("", description="URL that gives tokens for `OAUTHBEARER` (client credentials).")
    oauth_scope: str = Field("", description="Scope of these tokens; empty: the server's default.")
    ca_file: FileName = Field(
        "", description="Authorities that may sign the brokers' certificates; empty: the machine's."
    )
    cert_file: FileName = Field("", description="Our own certificate, where brokers ask for one.")
    key_file: FileName = Field("", description="The key that belongs to it.")


class S3(Section):
    """The object store that holds the lake."""

    endpoint: str = Field("", description="URL of an S3 compatible server; empty for Amazon's own.")
    region: str = Field("us-east-1", description="Region that requests are signed for.")
    access_key: str = Field(
        "", description="Access key id; empty takes what the environment, an AWS profile or the machine's role gives."
    )
    secret_key: SecretStr = Field(SecretStr(""), description="Secret key; never logged.")
    session_token: SecretStr = Field(
        SecretStr(""), description="Token that belongs to a temporary key; never logged. Such a key is not renewed."
    )
    ca_file: FileName = Field(
        "", description="Authorities that may sign the endpoint's certificate; empty: the machine's."
    )
    bucket: str = Field("dfp-lake", description="Bucket of the lake.")


class Lake(Section):
    """The Iceberg tables and how they are written."""

    catalog: DatabaseUrl = Field(
        SecretStr("sqlite:///.local/data/catalog.db"),
        description="SQL catalog (`sqlite:///path`, `postgresql://host/database`), REST catalog (`https://host/path`), "
        "or AWS Glue (`glue://`, `glue://account-id`); never logged.",
    )
    catalog_user: str = Field(
        "",
        description="User of the catalog's database, or OAuth client id of a REST catalog; empty: as `lake.catalog` "
        "says.",
    )
    catalog_password: SecretStr = Field(
        SecretStr(""),
        description="Its password, as it is, or the client's secret; without a user, a REST catalog's bearer token. "
        "Never logged.",
    )
    catalog_warehouse: str = Field("", description="Warehouse to open in a REST catalog; empty: its default.")
    catalog_ca_file: FileName = Field(
        "", description="Authorities that may sign a REST catalog's certificate; empty: the machine's."
    )
    catalog_options: tuple[str, ...] = Field(
        (), description="Further options of pyiceberg for a REST or Glue catalog, as `name=value`; no secrets."
    )
    path: str = Field("lake", description="Prefix in the bucket below which all tables lie.")
    flush_s: Seconds = Field(5.0, description="Seconds between two commits while changes flow.")
    flush_rows: Count = Field(200_000, description="Changed rows after which a commit is made earlier.")
    file_rows_max: Count = Field(1_000_000, description="Most rows of one data file.")
    spill_rows: Count = Field(
        100_000, description="Rows of one table that a commit holds in memory; more go through temporary files."
    )
    merge_files: Count = Field(8, description="Small files of a touched partition that are merged.")
    snapshots_kept: Annotated[int, Field(ge=2)] = Field(
        100, description="Snapshots of a table that stay readable; older ones are expired by the next commit."
    )
    sweep_s: Seconds = Field(300.0, description="Seconds between two searches for files that nothing refers to.")
    grace_s: Seconds = Field(3_600.0, description="Seconds that such a file stays for those who still read it.")

    @property
    def catalog_kind(self) -> Literal["sql", "rest", "glue"]:
        """The kind of the catalog, by its URL."""
        return catalog_kind(self.catalog.get_secret_value())

    @property
    def options(self) -> dict[str, str]:
        """`catalog_options` by name."""
        return {name: value for name, _, value in (option.partition("=") for option in self.catalog_options)}

    @property
    def database(self) -> SecretStr:
        """The catalog's URL; that of a database has user and password in it."""
        secret = self.catalog_password.get_secret_value()
        return SecretStr(with_login(self.catalog.get_secret_value(), self.catalog_user, secret))


class State(Section):
    """Where the sums and verdicts are kept."""

    url: DatabaseUrl = Field(
        SecretStr("sqlite:///.local/data/state.db"),
        description="State store, `sqlite:///path` or `postgresql://host/database`; never logged.",
    )
    user: str = Field("", description="User of the state store's database; empty: as `state.url` says.")
    password: SecretStr = Field(SecretStr(""), description="Its password, as it is; never logged.")

    @property
    def database(self) -> SecretStr:
        """The URL with user and password in it."""
        return SecretStr(with_login(self.url.get_secret_value(), self.user, self.password.get_secret_value()))


class Cdc(Section):
    """How capture divides the stream into epochs."""

    epoch_s: Seconds = Field(1.0, description="Seconds after which an epoch with changes is closed.")
    epoch_rows: Count = Field(50_000, description="Row images after which an epoch is closed.")
    heartbeat_s: Seconds = Field(10.0, description="Seconds after which an idle source gets an empty epoch.")
    snapshot_rows: Count = Field(20_000, description="Rows that one step of a snapshot reads and publishes.")
    spill_bytes: Count = Field(
        16_777_216,
        description="Bytes of one open transaction held in memory; longer ones wait for their commit on disk.",
    )
    retry_s: Seconds = Field(30.0, description="Seconds between two checks of tables that are set aside.")


class Scratch(Section):
    """Temporary files for data that exceeds memory."""

    directory: FileName = Field(
        "", description="Directory of temporary files, on a disk, not in memory; empty: the system's (`TMPDIR`)."
    )


class Fingerprinter(Section):
    """How the fingerprinter checks the lake."""

    etag_check_s: Seconds = Field(
        60.0,
        description="Seconds between two checks of the live files' ETags; more with many tables: a check takes 2 % of "
        "the time.",
    )
    reread_s: Seconds = Field(86_400.0, description="Seconds within which every live file is read again.")
    poll_s: Seconds = Field(1.0, description="Seconds between two checks for snapshots of other writers.")
    sketch_cells: SketchCells = Field(
        40,
        description="Cells of the sketches that name differing rows (`datafingerprint diff`), a multiple of 4: about a "
        "quarter as many differing rows of a partition are named. 0: no sketches.",
    )
    history_days: float = Field(
        90.0, ge=0, le=36_500, description="Days that the history of verdicts and sums is kept; 0: none is recorded."
    )
    history_every_s: Seconds = Field(
        3_600.0,
        description="Least seconds between two points of a partition whose verdict stays the same. Points older than a "
        "day are thinned to one per day and verdict.",
    )
    history_points_max: Count = Field(
        2_000_000, description="Most points of all partitions together; the oldest are removed first."
    )


class Audit(Section):
    """How audits query the source for its own sums."""

    every_s: float = Field(
        86_400.0, ge=0, description="Seconds within which the service audits every table again; 0: only on request."
    )
    cascades_s: Seconds = Field(
        60.0,
        description="Seconds between two checks of a table that cascades may have changed (`source.cascades`), or four "
        "times as long as it took to check and read it again, whichever is more.",
    )
    host: str = Field("", description="Server that audits query, such as a replica; empty: that of `[source]`.")
    port: int = Field(0, ge=0, le=65535, description="Its port; 0: that of `[source]`.")
    user: str = Field("", description="User there; empty: user and password of `[source]`.")
    password: SecretStr = Field(SecretStr(""), description="The password of `audit.user`; never logged.")
    range_rows: Count = Field(
        200_000, description="Rows above which a partition is summed up in ranges of its key, of so many rows each."
    )
    rows_s_max: float = Field(100_000.0, ge=0, description="Rows a second that an audit sums up at most; 0: no bound.")
    threads_running_max: Count = Field(50, description="`Threads_running` above which an audit pauses.")
    lag_s_max: Seconds = Field(30.0, description="Seconds of a replica's lag above which an audit of it pauses.")
    view_s_max: Seconds = Field(300.0, description="Seconds after which an audit closes its view and opens the next.")
    statement_s: Seconds = Field(600.0, description="Seconds after which the source ends a statement of an audit.")
    align_s: Seconds = Field(60.0, description="Seconds that the stream may take to reach the position of a view.")
    fetch: bool = Field(
        default=False, description="Fetch the rows and digest them here, for a server that has no `MD5()`."
    )


class Alerts(Section):
    """When an incident is opened and closed, and to whom alerts go."""

    urls: SecretStr = Field(
        SecretStr(""),
        description="Receivers as URLs of Apprise, separated by white space, such as `mailto://…` or `slack://…`; "
        "never logged. Empty: incidents are kept, and nothing is sent.",
    )
    webhook: SecretStr = Field(
        SecretStr(""), description="URL of a signed webhook, `https://…`; never logged. Empty: none."
    )
    webhook_secret: SecretStr = Field(
        SecretStr(""), description="Key of the webhook's signatures, at least 16 characters; never logged."
    )
    public_url: str = Field(
        "", description="URL of the REST service as readers of alerts reach it; empty: `http://` and `api.host`."
    )
    quiet_s: Seconds = Field(60.0, description="Seconds that a table or service is sound before its incident closes.")
    inconclusive_s: Seconds = Field(
        3_600.0, description="Seconds that a table may be inconclusive before that is an incident."
    )
    silent_s: Seconds = Field(30.0, description="Seconds that a service may not work before that is an incident.")
    lag_s: float = Field(
        600.0, ge=0, description="Seconds that the lake may lack a change before that is an incident; 0: never."
    )
    stale_s: float = Field(
        900.0, ge=0, description="Seconds since the last comparison of source and lake that are an incident; 0: never."
    )
    stalled_s: float = Field(
        900.0, ge=0, description="Seconds without progress of any snapshot that are an incident; 0: never."
    )
    reminder_s: float = Field(
        14_400.0, ge=0, description="Seconds between two reminders of an incident that is not acknowledged; 0: none."
    )
    group_s: Seconds = Field(60.0, description="Seconds between two messages to a receiver; one holds all that is new.")
    timeout_s: Seconds = Field(15.0, description="Seconds that a receiver has to take a message.")
    keep_days: Count = Field(90, description="Days that closed incidents, events and messages are kept.")


class EngineSettings(Section):
    """A query engine that scans may use."""

    kind: str = Field("", description="`trino`, `presto`, `spark`, `duckdb` or `redshift`; empty: the engine's name.")
    host: str = Field("127.0.0.1", description="Its host name; not for DuckDB and Spark, which run in the process.")
    port: int = Field(0, ge=0, le=65535, description="Its port; 0 is the usual one of its kind.")
    user: str = Field("datafingerprint", description="User of the login.")
    password: SecretStr = Field(SecretStr(""), description="Its password; never logged.")
    tls: bool = Field(
        default=False, description="Whether to talk to it over TLS; Trino and Presto get a password over TLS only."
    )
    catalog: str = Field("", description="Its name of the lake; empty: `lake`, and `datafingerprint` on Spark.")
    database: str = Field("dev", description="Redshift's database.")
    connect_timeout_s: Seconds = Field(
        60.0, description="Seconds until an attempt to connect to Redshift, or the start of Spark, is given up."
    )
    timeout_s: Seconds = Field(3_600.0, description="Seconds after which a scan's statement is ended.")
    scans_max: Count = Field(1, description="Scans that may run on it at once.")
    rows_max: Count = Field(
        1_000_000_000,
        description="Most rows of one scan: those of the table, or of the requested partition.",
    )
    threads: int = Field(
        2,
        ge=0,
        description="Threads of a scan by DuckDB; 0: one for each of the machine's cores.",
    )
    memory_mib: Count = Field(2_048, description="MiB of memory of a scan by DuckDB; more goes to temporary files.")


class Generator(Section):
    """The simulated league."""

    seed: int = Field(2031, description="Seed of the league; the same seed plays the same games.")
    rate: float = Field(5.0, ge=0, description="Games a second; 0 plays as fast as the source takes them.")
    burst_games: int = Field(0, ge=0, description="Games of a burst, played without a pause; 0: no bursts.")
    burst_every_s: Seconds = Field(60.0, description="Seconds from one burst to the next.")
    schema_name: str = Field("ootp", description="Schema on the source that is filled.")


class Api(Section):
    """The REST service."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8000, description="Port to listen on.")
    token: SecretStr = Field(
        SecretStr(""),
        description="Bearer token of an operator, which callers and the project's own commands send; "
        "`datafingerprint tokens` makes others. Any address but loopback needs one.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="Host names under which callers may ask, such as that of a proxy, beside `localhost` and "
        "`api.host`; `*` is any.",
    )
    metrics_tables_max: Count = Field(
        1_000, description="Tables with metrics of their own; all others are summed up under one label."
    )


class Log(Section):
    """The logs of the services."""

    format: Literal["text", "json"] = Field(
        "text", description="`text` for people (`key=value`, quoted where it has spaces), `json` for machines."
    )
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level logged.")


class Health(Section):
    """Health checks."""

    file: FileName = Field(
        "", description="A file that the service touches while it works, for health checks; empty: none."
    )


class TableSettings(Section):
    """Settings of one table."""

    partition: tuple[str, ...] = Field(
        (), description="Partition fields: a column, or `year(c)`, `month(c)`, `day(c)` of a date."
    )
    leave_out: tuple[str, ...] = Field((), description="Columns that are neither copied nor part of the fingerprint.")
    as_bytes: tuple[str, ...] = Field(
        (),
        description="Texts that are carried as the bytes that the server stores, such as those in an unknown charset.",
    )
    sketch_cells: SketchCells | None = Field(
        None, description="Cells of this table's sketches; absent: as `fingerprinter.sketch_cells` says."
    )
    redact: tuple[str, ...] = Field(
        (), description="Columns whose values are never shown where differing rows are named."
    )


LEAGUE_PARTITIONS: dict[str, TableSettings] = {
    "ootp.games": TableSettings(partition=("year(date)",)),
    "ootp.players": TableSettings(partition=("league_id",)),
    "ootp.players_game_batting": TableSettings(partition=("year", "league_id")),
}


class Settings(Section):
    """All settings of one process."""

    source: Source = Source()
    kafka: Kafka = Kafka()
    s3: S3 = S3()
    lake: Lake = Lake()
    state: State = State()
    cdc: Cdc = Cdc()
    scratch: Scratch = Scratch()
    fingerprinter: Fingerprinter = Fingerprinter()
    audit: Audit = Audit()
    alerts: Alerts = Alerts()
    generator: Generator = Generator()
    api: Api = Api()
    log: Log = Log()
    health: Health = Health()
    tables: Mapping[str, TableSettings] = Field(
        LEAGUE_PARTITIONS, description="Per table, by `schema.table`: its partition fields."
    )
    engines: Mapping[str, EngineSettings] = Field(
        {"duckdb": EngineSettings.model_validate({})}, description="Query engines for scans, by a name of your own."
    )

    def sketch_cells(self, table: str) -> int:
        """How many cells a table's sketches have; 0 for none."""
        own = self.tables[table].sketch_cells if table in self.tables else None
        return self.fingerprinter.sketch_cells if own is None else own

    def redacted(self, table: str) -> tuple[str, ...]:
        """The columns of a table whose values are not shown."""
        return self.tables[table].redact if table in self.tables else ()


RENAMED: Mapping[tuple[str, str], tuple[str, str]] = {("cdc", "spill_octets"): ("cdc", "spill_bytes")}
"""Old names of settings, as (section, field), and their names now. A service that finds an old name logs a warning."""

MAPPINGS: dict[str, type[Section]] = {"tables": TableSettings, "engines": EngineSettings}
"""Settings that occur several times, each under a name, and their sections."""


def section_fields() -> dict[str, dict[str, Any]]:
    """Every documented setting: section name to field name to its pydantic field."""
    sections = {name: field.annotation for name, field in Settings.model_fields.items() if name not in MAPPINGS}
    return {name: dict(kind.model_fields) for name, kind in sections.items() if kind is not None}


def secret_names() -> list[tuple[str, str]]:
    """Every secret, as (section, field); each can be read from a file instead."""
    return [
        (section, name)
        for section, fields in section_fields().items()
        for name, field in fields.items()
        if field.annotation is SecretStr
    ]


_SQLITE_FILE = re.compile(r"(?s)(?P<scheme>sqlite(\+\w+)?:///)(?P<path>(?![/?]|:memory:|file:)[^?]+)(?P<rest>.*)")


def with_absolute_paths(document: Mapping[str, Any], directory: PurePath) -> dict[str, Any]:
    """Makes relative paths of a settings file, also of defaults, absolute.

    Args:
        document: The parsed file. A value that is no text stays; `load_settings` refuses it.
        directory: The file's directory, as an absolute path.
    """
    completed = {name: dict(values) if isinstance(values, Mapping) else values for name, values in document.items()}
    for section, fields in section_fields().items():
        values = completed.setdefault(section, {})
        for name, field in fields.items():
            if isinstance(values, dict) and any(isinstance(mark, IsPath) for mark in field.metadata):
                values[name] = _make_absolute(values.get(name, field.default), directory)
    return completed


def _make_absolute(given: object, directory: PurePath) -> object:
    text = given.get_secret_value() if isinstance(given, SecretStr) else given
    if not isinstance(text, str) or not text:
        return given
    database = _SQLITE_FILE.fullmatch(text)
    if database is not None:
        return f"{database['scheme']}{directory / database['path']}{database['rest']}"
    return text if "://" in text else str(directory / text)


def renamed_settings(document: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, str]:
    """The settings under an old name, in file and environment, each with its name now."""
    renamed: dict[str, str] = {}
    for old, new in RENAMED.items():
        values = document.get(old[0])
        if isinstance(values, Mapping) and old[1] in values:
            renamed[".".join(old)] = ".".join(new)
        if _variable(*old) in environment:
            renamed[_variable(*old)] = _variable(*new)
    return renamed


def _under_new_names(
    document: Mapping[str, Any], environment: Mapping[str, str]
) -> tuple[dict[str, Any], dict[str, str]]:
    """Copies the file's sections and the environment, with settings under their names now.

    Raises:
        ConfigError: a setting has both its old and its new name.
    """
    sections = {name: dict(values) if isinstance(values, Mapping) else values for name, values in document.items()}
    variables = dict(environment)
    for old, new in renamed_settings(document, environment).items():
        holder, old_key, new_key = variables, old, new
        if old not in variables:
            (section, old_key), (new_section, new_key) = old.split("."), new.split(".")
            value = sections[section].pop(old_key)
            holder = sections.setdefault(new_section, {})
        else:
            value = holder.pop(old)
        if not isinstance(holder, dict) or new_key in holder:
            raise ConfigError(f"both {old} and {new} are set", remedy=f"remove {old}, which is the old name")
        holder[new_key] = value
    return sections, variables


def _variable(section: str, field: str) -> str:
    return f"{ENVIRONMENT_PREFIX}{section}_{field}".upper()


def environment_names() -> dict[str, tuple[str, str]]:
    """Every variable that is read, with its (section, field)."""
    return {
        _variable(section, field): (section, field) for section, fields in section_fields().items() for field in fields
    }


def load_settings(document: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Combines a parsed `datafingerprint.toml` with the environment, and checks all.

    The environment has priority.

    Raises:
        ConfigError: a key or variable is unknown (the nearest known one is named), or a value is invalid.
    """
    merged, variables = _under_new_names(document, environment)
    known = environment_names()
    for variable, text in sorted(variables.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == CONFIG_VARIABLE:
            continue
        if variable not in known:
            raise ConfigError(f"unknown variable {variable}", remedy=_suggest(variable, known))
        if not _is_text(text):
            raise ConfigError(f"variable {variable} is not UTF-8", remedy="save and export it as UTF-8")
        section, field = known[variable]
        values = merged.setdefault(section, {})
        if isinstance(values, dict):  # otherwise the check below refuses the section
            is_list = section_fields()[section][field].annotation == tuple[str, ...]
            values[field] = _split_list(text) if is_list else text
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise _config_error(error) from None
    _require_secrets(settings)
    return settings


def _is_text(value: str) -> bool:
    """Whether UTF-8 can encode it. Invalid bytes of a variable arrive as halves of surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


_IN_HEADERS = (("api", "token"), ("s3", "access_key"), ("s3", "secret_key"), ("s3", "session_token"))
"""Settings that are sent in HTTP headers."""


def _require_secrets(settings: Settings) -> None:
    """Refuses secrets with a character that a client fails on, and would print in its error.

    Raises:
        ConfigError: a secret has one; the error names only the setting.
    """
    for section, field in secret_names():
        secret = getattr(getattr(settings, section), field).get_secret_value()
        if "\0" in secret or not _is_text(secret):
            raise ConfigError(
                f"setting {section}.{field} contains a NUL, or is not UTF-8", remedy="write it as UTF-8 without a NUL"
            )
    for section, field in _IN_HEADERS:
        value = getattr(getattr(settings, section), field)
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if not all(" " <= character <= "~" for character in text):
            raise ConfigError(
                f"setting {section}.{field} has a character that an HTTP header cannot hold",
                remedy="use printable ASCII",
            )
    lake, state = settings.lake, settings.state
    for url, names, user, password in (
        (lake.catalog, ("lake.catalog", "lake.catalog_user", "lake.catalog_password"), lake.catalog_user,
         lake.catalog_password),
        (state.url, ("state.url", "state.user", "state.password"), state.user, state.password),
    ):  # fmt: skip
        require_plain(url.get_secret_value(), *names)
        given = (names[1], user), (names[2], password.get_secret_value())
        require_one_login(url.get_secret_value(), names[0], *given)
    _require_catalog(lake)


_SECRET_OPTION = re.compile(r"secret|token|credential|password|authorization|(api|access)[-_.]?key", re.IGNORECASE)
_PUBLIC_OPTIONS = ("oauth2-server-uri",)
REST_FORM = "write [lake] catalog as https://host/path"


def _require_catalog(lake: Lake) -> None:
    """Refuses settings that the kind of catalog cannot have.

    Raises:
        ConfigError: an option is no pair, holds a secret, or is of another kind of catalog; or the URL has a login.
    """
    url, kind = lake.catalog.get_secret_value(), lake.catalog_kind
    for option in lake.catalog_options:
        name, equals, value = option.partition("=")
        if not (name and equals):
            raise ConfigError("setting lake.catalog_options has an item without =", remedy="write name=value")
        if _SECRET_OPTION.search(name) and name not in _PUBLIC_OPTIONS:
            remedy = "set lake.catalog_user and lake.catalog_password, or [s3] access_key and secret_key"
            raise ConfigError(f"setting lake.catalog_options has the secret {name}", remedy=remedy)
        if "@" in value.partition("://")[2].partition("/")[0]:  # errors name the URL
            remedy = "set lake.catalog_user and lake.catalog_password apart from the URL"
            raise ConfigError(f"setting lake.catalog_options has a login in the URL of {name}", remedy=remedy)
    if kind == "rest" and "@" in url:
        remedy = "set lake.catalog_user and lake.catalog_password apart from the URL"
        raise ConfigError("setting lake.catalog has a login in its URL", remedy=remedy)
    if kind != "rest" and lake.catalog_warehouse:
        raise ConfigError("setting lake.catalog_warehouse is for a REST catalog", remedy=f"remove it, or {REST_FORM}")
    if kind == "sql" and lake.catalog_options:
        raise ConfigError("setting lake.catalog_options is for REST and Glue", remedy=f"remove it, or {REST_FORM}")
    if kind == "glue" and (lake.catalog_user or lake.catalog_password.get_secret_value()):
        remedy = "remove them: Glue takes the keys of [s3]"
        raise ConfigError("settings lake.catalog_user and lake.catalog_password are not for Glue", remedy=remedy)
    secret = lake.catalog_password.get_secret_value()
    if kind == "rest" and not lake.catalog_user and not all(" " <= character <= "~" for character in secret):
        raise ConfigError(
            "setting lake.catalog_password has a character that an HTTP header cannot hold",
            remedy="use printable ASCII",
        )


def _split_list(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _suggest(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)
    return f"did you mean {close[0]}?" if close else "there is none"


def _describe_expected(message: str) -> str:
    """Describes the expected value in the terms of a settings file instead of Python's."""
    text = re.sub(r"a valid dictionary( or instance of \w+)?", "a section", message[:1].lower() + message[1:])
    return text.replace("a valid tuple", "a list")


def _config_error(error: ValidationError) -> ConfigError:
    """The first error as one line with the key, without the value: it may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    name = ".".join(path)
    if first["type"] != "extra_forbidden":
        return ConfigError(f"invalid value for setting {name}", remedy=_describe_expected(str(first["msg"])))
    fields = section_fields()
    siblings: Mapping[str, Any] = fields.get(path[0], {}) if len(path) == 2 else Settings.model_fields  # noqa: PLR2004 - section.key
    if path[0] in MAPPINGS:
        siblings = MAPPINGS[path[0]].model_fields
    return ConfigError(f"unknown setting {name}", remedy=_suggest(path[-1], siblings))
