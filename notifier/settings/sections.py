"""Every setting with its default. Environment names are `NOTIFIER_<SECTION>__<NAME>`."""

from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

KIB = 1024
MIB = 1024 * KIB
LONGEST_S: Final = 100 * 365 * 86400
"""A hundred years: for ever, and yet a time that the calendar can be asked for."""


class Section(BaseModel):
    """A frozen group of settings; unknown names are errors, and errors never echo the input."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )

    @field_validator("*")
    @classmethod
    def _is_a_length_of_time(cls, value: Any, about: ValidationInfo) -> Any:
        if str(about.field_name).endswith("_s") and value is not None and value > LONGEST_S:
            raise ValueError(f"should be at most {LONGEST_S} (a hundred years)")
        return value


class HttpSettings(Section):
    """The API's listener and what it accepts."""

    host: str = Field("127.0.0.1", description="address the API and the inbox listen on")
    port: int | None = Field(None, ge=1, le=65535, description="unset: 8000")
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Host names answered to; PUBLIC_URL's host is always among them"
    )
    trusted_proxies: tuple[str, ...] = Field(
        (), description="addresses or networks whose X-Forwarded-* headers are believed"
    )
    max_body_bytes: int = Field(30 * MIB, ge=KIB, description="largest body of a request")
    max_bodies_bytes: int = Field(
        128 * MIB, ge=KIB, description="all bodies in memory together; more get 503"
    )
    max_json_depth: int = Field(32, ge=4, le=200, description="deepest nesting of a JSON body")
    max_concurrency: int = Field(400, ge=1, description="requests at once; more get 503")
    request_timeout_s: float = Field(30, gt=0, description="time for a request to arrive")
    grace_s: float = Field(10, ge=0, description="time for requests in flight at shutdown")


class DatabaseSettings(Section):
    """Where the queue lives. Unset: SQLite in DATA_DIR."""

    url: SecretStr | None = Field(
        None,
        description="sqlite:///path or postgresql://user:pw@host/name; unset: SQLite in DATA_DIR",
    )
    migrate: Literal["auto", "wait"] | None = Field(
        None, description="unset: auto on SQLite and in dev, wait on PostgreSQL"
    )
    migrate_wait_s: float = Field(60, ge=0, description="wait for `notifier migrate` elsewhere")
    writers: int = Field(2, ge=1, le=16, description="writer threads on PostgreSQL (SQLite: 1)")
    readers: int = Field(4, ge=1, le=64, description="reader threads")
    group_max: int = Field(200, ge=1, le=2000, description="members of one group commit")
    queue_max: int = Field(5000, ge=1, description="writes waiting for a commit; more get 503")
    write_timeout_s: float = Field(10, gt=0, description="wait for a commit to begin, then 503")
    lock_timeout_s: float = Field(30, gt=0, description="wait for another process's write lock")


class RelaySettings(Section):
    """One upstream SMTP server."""

    url: SecretStr | None = Field(
        None,
        description="smtps://user:pw@host:465, or smtp://…:587 (STARTTLS required; to loosen it add"
        " ?tls=opportunistic or ?tls=none)",
        examples=["smtp://smtp.example.org:587"],
    )
    username: SecretStr | None = Field(None, description="wins over the one in the URL")
    password: SecretStr | None = Field(None, description="wins over the one in the URL")
    connections: int = Field(10, ge=1, le=200, description="most connections kept to it")
    mails_per_connection: int = Field(100, ge=1, description="then a new connection is made")
    idle_close_s: float = Field(30, gt=0, description="a connection without work is closed")
    connection_age_s: float = Field(300, gt=0, description="an older connection is closed")
    rate_per_s: float | None = Field(
        None, gt=0, description="most mails a second, all processes together; unset: no limit"
    )
    pipelining: bool = Field(True, description="RFC 2920, where the relay offers it")
    chaining: bool = Field(
        True, description="with pipelining: the next mail's commands go with the last body's end"
    )
    ca_file: Path | None = Field(None, description="PEM file to trust beside the system's")
    connect_timeout_s: float = Field(30, gt=0, description="TCP and TLS handshake")
    command_timeout_s: float = Field(300, gt=0, description="banner, EHLO, AUTH, MAIL, RCPT")
    data_timeout_s: float = Field(120, gt=0, description="DATA until 354")
    block_timeout_s: float = Field(180, gt=0, description="a block of the body")
    dot_timeout_s: float = Field(600, gt=0, description="final dot until its reply")
    rest_s: float = Field(60, gt=0, description="longest rest of a relay that does not answer")


class MailboxSettings(Section):
    """The capture server and its inbox."""

    smtp_host: str = Field("127.0.0.1", description="address the capture server listens on")
    smtp_port: int | None = Field(None, ge=1, le=65535, description="unset: 1025")
    compat_port: int | None = Field(None, ge=1, le=65535, description="unset: 8025")
    password: SecretStr | None = Field(None, description="HTTP basic; needed off loopback")
    ephemeral: bool = Field(False, description="forget captured mail at the end")
    max_messages: int = Field(5000, ge=1, description="older mail is pruned")
    max_total_bytes: int = Field(512 * MIB, ge=MIB, description="older mail is pruned, then 452")
    max_age_s: float = Field(30 * 86400, gt=0, description="older mail is pruned")
    max_message_bytes: int = Field(32 * MIB, ge=KIB, description="larger mail gets 552")
    max_recipients: int = Field(1000, ge=1, description="more recipients of a mail get 452")
    max_connections: int = Field(200, ge=1, description="SMTP connections at once")


class OpsSettings(Section):
    """/healthz, /readyz and /metrics on a port of their own."""

    host: str = Field("127.0.0.1", description="address that probes listen on")
    port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="unset: the API's port has the probes, and no metrics; in dev it has all",
    )


class DevSettings(Section):
    """Switches of `notifier dev` alone."""

    open: bool = Field(False, description="in a container: stands in for the loopback test")
    send_for_real: bool = Field(False, description="allow relays that are not on loopback")


class MailSettings(Section):
    """Who mails are from."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, populate_by_name=True
    )

    from_: str | None = Field(
        None, alias="from", description="default sender, `Name <a@example.org>`; needed outside dev"
    )
    return_path: str | None = Field(None, description="MAIL FROM; unset: the address of MAIL__FROM")
    helo_name: str | None = Field(None, description="name given in EHLO; unset: this host's name")


class BrandSettings(Section):
    """What fills the shipped base template."""

    name: str = Field("Notifier", description="who speaks in the mails")
    url: str | None = Field(None, description="where the name and the logo lead")
    logo: str | None = Field(None, description="https:// address of a picture")
    color: str = Field(
        "#3b5bdb", pattern=r"^#[0-9a-fA-F]{6}$", description="of buttons and links, #rrggbb"
    )
    address: str | None = Field(None, description="postal address in the footer")


class TemplateSettings(Section):
    """Own template folders, searched before the shipped set."""

    dirs: tuple[Path, ...] = Field((), description="folders, the first that has a mail wins")


class KeySettings(Section):
    """An API key declared by settings instead of by `notifier keys create`."""

    secret: SecretStr | None = Field(
        None, description="the key itself; `notifier keys create --print-only` makes one"
    )
    project: str = Field("default", description="the project it belongs to")
    scopes: tuple[str, ...] = Field(
        ("send", "read", "templates", "registrations"),
        description="of send, read, templates, registrations, admin",
    )


class LimitSettings(Section):
    """Bounds on one call."""

    recipients: int = Field(50, ge=1, le=1000, description="of one notification")
    subject_chars: int = Field(400, ge=1, description="of a subject")
    text_bytes: int = Field(MIB, ge=1, description="of a text body")
    html_bytes: int = Field(MIB, ge=1, description="of an html body")
    message_bytes: int = Field(25 * MIB, ge=KIB, description="of a finished mail")
    call_bytes: int = Field(64 * MIB, ge=KIB, description="of all finished mails of one call")
    variables_bytes: int = Field(256 * KIB, ge=KIB, description="of a template's variables")
    schedule_ahead_s: float = Field(
        366 * 86400, gt=0, le=3660 * 86400, description="how far ahead a mail may be scheduled"
    )


class DispatchSettings(Section):
    """The delivery wing."""

    seats: int = Field(
        200,
        ge=1,
        le=1000,
        description="most mails under way at once, for live and test mail each; fewer while relays"
        " are slow",
    )
    urgent_seats: int = Field(
        5, ge=0, description="of the seats, so many are taken by urgent mail only"
    )
    seats_bytes: int = Field(
        64 * MIB, ge=MIB, description="mails under way at once, in bytes; one always may be"
    )
    lease_s: float = Field(30, gt=1, description="a dead worker's mail is free again after it")
    poll_s: float = Field(2, gt=0, description="longest pause between two looks at the queue")
    attempts: int = Field(25, ge=1, description="tries that reached MAIL before `failed`")
    backoff_first_s: float = Field(30, gt=0, description="wait after the first failed try")
    backoff_max_s: float = Field(7200, gt=0, description="longest wait between two tries")
    life_s: float = Field(86400, gt=0, description="default life of a message")
    on_ambiguous: Literal["retry", "hold"] = Field(
        "retry", description="when nobody can know whether a mail was sent"
    )
    grace_s: float = Field(10, ge=0, description="time for mails under way at shutdown")


class RegistrationSettings(Section):
    """The sign-up flow."""

    link_url: str | None = Field(
        None, description="own page for the link, with {token}; unset: PUBLIC_URL/confirm?t="
    )
    redirect_to: tuple[str, ...] = Field((), description="allowed redirect targets")
    life_s: float = Field(86400, gt=0, description="life of a link")
    code_life_s: float = Field(
        900, gt=0, description="life of a code, from the sending of its mail"
    )
    code_tries: int = Field(5, ge=1, le=20, description="wrong tries that burn all codes")
    resend_wait_s: float = Field(60, ge=0, description="wait before a mail is sent once more")


class RetentionSettings(Section):
    """How long things are kept after they are final."""

    bytes_s: float = Field(7 * 86400, ge=0, description="the bytes of a mail without secrets")
    notifications_s: float = Field(30 * 86400, ge=0, description="notifications and events")
    idempotency_s: float = Field(86400, ge=3600, description="idempotency keys")
    registrations_s: float = Field(7 * 86400, ge=0, description="unconfirmed registrations")


class LogSettings(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the least that is written"
    )
    format: Literal["auto", "json", "console"] = Field(
        "auto", description="auto: console on a terminal, else JSON lines"
    )
    max_field_chars: int = Field(8000, ge=200, description="longer texts are cut in the middle")


class Settings(Section):
    """All of them. `is_dev` is set by the role (`notifier dev`), not by the environment."""

    is_dev: bool = False
    data_dir: Path = Field(Path(".data"), description="where the queue and the mailbox live")
    public_url: str | None = Field(
        None, description="base of links in mails, https://…; needed outside dev"
    )
    secret_key: tuple[SecretStr, ...] = Field(
        (), description="seals secrets, newest first, older ones still open; needed outside dev"
    )
    capture_url: SecretStr | None = Field(
        None, description="capture server for test keys' mail outside dev"
    )
    smtp_url: SecretStr | None = Field(None, exclude=True)
    http: HttpSettings = HttpSettings()
    database: DatabaseSettings = DatabaseSettings()
    relays: dict[str, RelaySettings] = Field(default_factory=dict)
    mailbox: MailboxSettings = MailboxSettings()
    ops: OpsSettings = OpsSettings()
    dev: DevSettings = DevSettings()
    mail: MailSettings = MailSettings()
    brand: BrandSettings = BrandSettings()
    templates: TemplateSettings = TemplateSettings()
    keys: dict[str, KeySettings] = Field(default_factory=dict)
    limits: LimitSettings = LimitSettings()
    dispatch: DispatchSettings = DispatchSettings()
    registration: RegistrationSettings = RegistrationSettings()
    retention: RetentionSettings = RetentionSettings()
    log: LogSettings = LogSettings()
