"""Every setting: its name, type, default and meaning, checked once when a process starts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from datafingerprint.errors import ConfigError

ENVIRONMENT_PREFIX = "DFP_"
CONFIG_VARIABLE = "DFP_CONFIG"

Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


def _mode(given: object) -> object:
    return given.lower() if isinstance(given, str) else given


TlsMode = Annotated[
    Literal["disabled", "preferred", "required", "verify_ca", "verify_identity"], BeforeValidator(_mode)
]


class Section(BaseModel):
    """A group of settings; frozen, and refusing names that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Section):
    """The warehouse."""

    host: str = Field("127.0.0.1", description="Host name of the MySQL or MariaDB server.")
    port: Port = Field(3306, description="Its port.")
    user: str = Field("dfp", description="User with SELECT, REPLICATION SLAVE and BINLOG MONITOR.")
    password: SecretStr = Field(SecretStr(""), description="Its password; never logged.")
    server_id: Count = Field(4242, description="Replica id that capture shows to the server; unique there.")
    tables: tuple[str, ...] = Field(
        ("ootp.*",),
        description="Tables under watch, `schema.table` or `schema.*`; a leading `!` excludes. "
        "Capture takes up changes while it runs.",
    )
    connect_timeout_s: Seconds = Field(10.0, description="Seconds until an attempt to connect is given up.")
    tls: TlsMode = Field(
        "preferred",
        description="As `--ssl-mode` of MySQL's clients: `disabled`, `preferred` (where the server offers it), "
        "`required`, `verify_ca`, `verify_identity` (and the certificate names `source.host`).",
    )
    tls_ca: str = Field("", description="Authorities that may sign the server's certificate; empty: the machine's.")
    tls_cert: str = Field("", description="Our own certificate, where the account REQUIREs one.")
    tls_key: str = Field("", description="The key that belongs to it.")


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
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How the login is proven, where `kafka.security` has one."
    )
    user: str = Field("", description="User of the login.")
    password: SecretStr = Field(SecretStr(""), description="Its password; never logged.")
    ca_file: str = Field("", description="Authorities that may sign the brokers' certificates; empty: the machine's.")
    cert_file: str = Field("", description="Our own certificate, where brokers ask for one.")
    key_file: str = Field("", description="The key that belongs to it.")


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
    ca_file: str = Field("", description="Authorities that may sign the endpoint's certificate; empty: the machine's.")
    bucket: str = Field("dfp-lake", description="Bucket of the lake.")


class Lake(Section):
    """The Iceberg tables and how they are written."""

    catalog: SecretStr = Field(
        SecretStr("sqlite:///.local/data/catalog.db"),
        description="SQL catalog, `sqlite:///path` or `postgresql://user:password@host/database`; never logged.",
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


class State(Section):
    """Where the sums and verdicts are kept."""

    url: SecretStr = Field(
        SecretStr("sqlite:///.local/data/state.db"),
        description="State store, `sqlite:///path` or `postgresql://user:password@host/database`; never logged.",
    )


class Cdc(Section):
    """How capture cuts the stream into epochs."""

    epoch_s: Seconds = Field(1.0, description="Seconds after which an epoch with changes is closed.")
    epoch_rows: Count = Field(50_000, description="Row images after which an epoch is closed.")
    heartbeat_s: Seconds = Field(10.0, description="Seconds after which an idle source gets an empty epoch.")
    snapshot_rows: Count = Field(20_000, description="Rows that one step of a snapshot reads and publishes.")
    spill_octets: Count = Field(
        16_777_216,
        description="Bytes of one open transaction held in memory; longer ones wait for their commit on disk.",
    )


class Scratch(Section):
    """Where what does not fit in memory lies meanwhile."""

    directory: str = Field(
        "", description="Directory of temporary files, on a disk, not in memory; empty: the system's (`TMPDIR`)."
    )


class Fingerprinter(Section):
    """How the lake is looked at."""

    etag_check_s: Seconds = Field(60.0, description="Seconds between two looks at the live files' ETags.")
    reread_s: Seconds = Field(86_400.0, description="Seconds within which every live file is read again.")
    poll_s: Seconds = Field(1.0, description="Seconds between two looks for snapshots that others made.")


class Audit(Section):
    """How the source's own sums are asked for."""

    every_s: float = Field(
        86_400.0, ge=0, description="Seconds within which the service audits every table again; 0: only when asked."
    )
    host: str = Field("", description="Server that audits ask, such as a replica; empty: that of `[source]`.")
    port: int = Field(0, ge=0, le=65535, description="Its port; 0: that of `[source]`.")
    user: str = Field("", description="User there; empty: user and password of `[source]`.")
    password: SecretStr = Field(SecretStr(""), description="The password of `audit.user`; never logged.")
    range_rows: Count = Field(
        200_000, description="Rows above which a partition is summed up in ranges of its key, of so many rows each."
    )
    rows_s_max: float = Field(100_000.0, ge=0, description="Rows a second that an audit sums up at most; 0: no bound.")
    threads_running_max: Count = Field(50, description="`Threads_running` above which an audit pauses.")
    lag_s_max: Seconds = Field(30.0, description="Seconds of a replica's lag above which an audit of it pauses.")
    view_s_max: Seconds = Field(300.0, description="Seconds that a view is held open; then the next one is opened.")
    statement_s: Seconds = Field(600.0, description="Seconds after which the source ends a statement of an audit.")
    align_s: Seconds = Field(60.0, description="Seconds that the stream may take to reach the position of a view.")
    fetch: bool = Field(
        default=False, description="Fetch the rows and digest them here, for a server that has no `MD5()`."
    )


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
    catalog: str = Field("", description="What it calls the lake; empty: `lake`, and `datafingerprint` on Spark.")
    database: str = Field("dev", description="Redshift's database.")
    connect_timeout_s: Seconds = Field(
        60.0, description="Seconds until an attempt to connect to Redshift, or the start of Spark, is given up."
    )
    timeout_s: Seconds = Field(3_600.0, description="Seconds after which a scan's statement is ended.")
    scans_max: Count = Field(1, description="Scans that may run on it at once.")
    rows_max: Count = Field(
        1_000_000_000,
        description="Most rows that one scan may read: a table's, or a partition's where one is asked for.",
    )
    threads: int = Field(
        2,
        ge=0,
        description="Threads that DuckDB takes of the process that scans; 0: one for each of the machine's cores.",
    )
    memory_mib: Count = Field(
        2_048, description="MiB of memory that a scan by DuckDB takes at most; what is more goes to temporary files."
    )


class Generator(Section):
    """The simulated league."""

    seed: int = Field(2031, description="Seed of the league; the same seed plays the same games.")
    rate: float = Field(5.0, ge=0, description="Games a second; 0 plays as fast as the source takes them.")
    burst_games: int = Field(0, ge=0, description="Games that are played without a pause now and then; 0 is none.")
    burst_every_s: Seconds = Field(60.0, description="Seconds from one burst to the next.")
    schema_name: str = Field("ootp", description="Schema on the source that is filled.")


class Api(Section):
    """The REST service."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: Port = Field(8000, description="Port to listen on.")
    token: SecretStr = Field(
        SecretStr(""), description="Bearer token that callers must send; needed on any address but loopback."
    )


class Log(Section):
    """What the services say."""

    format: Literal["text", "json"] = Field("text", description="`text` for people, `json` for machines.")
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level shown.")


class Health(Section):
    """How others tell that a service works."""

    file: str = Field(
        "", description="A file that the service touches while its work goes on, for health checks; empty: none."
    )


class TableSettings(Section):
    """What differs for one table."""

    partition: tuple[str, ...] = Field(
        (), description="Partition fields: a column, or `year(c)`, `month(c)`, `day(c)` of a date."
    )
    leave_out: tuple[str, ...] = Field((), description="Columns that are neither copied nor part of the fingerprint.")
    as_bytes: tuple[str, ...] = Field(
        (), description="Texts that are carried as the bytes the server stores, such as those in no known charset."
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


MAPPINGS: dict[str, type[Section]] = {"tables": TableSettings, "engines": EngineSettings}
"""Settings of which there are several, each under a name, and what one of them holds."""


def section_fields() -> dict[str, dict[str, Any]]:
    """Every documented setting: section name to field name to its pydantic field."""
    sections = {name: field.annotation for name, field in Settings.model_fields.items() if name not in MAPPINGS}
    return {name: dict(kind.model_fields) for name, kind in sections.items() if kind is not None}


def secret_names() -> list[tuple[str, str]]:
    """Every setting that is a secret, as (section, field): each can be read from a file instead."""
    return [
        (section, name)
        for section, fields in section_fields().items()
        for name, field in fields.items()
        if field.annotation is SecretStr
    ]


def environment_names() -> dict[str, tuple[str, str]]:
    """Every variable that is read: its name to (section, field)."""
    return {
        f"{ENVIRONMENT_PREFIX}{section}_{field}".upper(): (section, field)
        for section, fields in section_fields().items()
        for field in fields
    }


def load_settings(document: Mapping[str, Any], environment: Mapping[str, str]) -> Settings:
    """Lays the environment over a parsed `datafingerprint.toml`, and checks the whole.

    Raises:
        ConfigError: a key or variable is unknown (the nearest known one is named), or a value is not fit.
    """
    merged: dict[str, Any] = {
        name: dict(values) if isinstance(values, Mapping) else values for name, values in document.items()
    }
    known = environment_names()
    for variable, text in sorted(environment.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable == CONFIG_VARIABLE:
            continue
        if variable not in known:
            raise ConfigError(f"unknown variable {variable}", remedy=_nearest(variable, known))
        section, field = known[variable]
        values = merged.setdefault(section, {})
        if isinstance(values, dict):  # otherwise the check below refuses the section
            values[field] = _items(text) if field == "tables" else text
    try:
        return Settings.model_validate(merged)
    except ValidationError as error:
        raise _config_error(error) from None


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


def _nearest(name: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)
    return f"did you mean {close[0]}?" if close else "there is none"


def _config_error(error: ValidationError) -> ConfigError:
    """The first complaint as one line that names the key; the value is left out, it may be a secret."""
    first = error.errors(include_input=False, include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    name = ".".join(path)
    if first["type"] != "extra_forbidden":
        return ConfigError(f"setting {name} is not fit", remedy=str(first["msg"]).lower())
    fields = section_fields()
    siblings: Mapping[str, Any] = fields.get(path[0], {}) if len(path) == 2 else Settings.model_fields  # noqa: PLR2004 - section.key
    if path[0] in MAPPINGS:
        siblings = MAPPINGS[path[0]].model_fields
    return ConfigError(f"unknown setting {name}", remedy=_nearest(path[-1], siblings))
