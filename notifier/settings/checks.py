"""What must hold between settings, or for one of them beyond its type. Each fault is a sentence."""

import ipaddress
import re
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Final
from urllib.parse import urlsplit

from notifier.core.address import AddressError, Mailbox, parse_mailbox
from notifier.core.api_key import SCOPES, route_of, unknown_scopes
from notifier.settings.loopback import WILDCARDS, is_loopback
from notifier.settings.secrets import WEAK_CHARS
from notifier.settings.sections import Settings

PROJECT_CHARS: Final = 64

IsGiven = Callable[[str], bool]
"""Whether somebody tried to set an environment name: what is broken is not also missing."""

_NEEDED: Final = {
    "NOTIFIER_PUBLIC_URL": "the address that links in mails begin with, as in"
    " https://notify.example.org",
    "NOTIFIER_SECRET_KEY": "a long random text, for example from"
    " `python3 -c 'import secrets; print(secrets.token_urlsafe(48))'`",
    "NOTIFIER_MAIL__FROM": "who mails are from, as in Example <no-reply@example.org>",
}
_DATABASE: Final = re.compile(r"(sqlite(\+\w+)?:///.+|postgres(ql)?(\+\w+)?://.+)", re.DOTALL)
_HOST_ENTRY: Final = re.compile(r"(\*\.)?[A-Za-z0-9._-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?")
_HELO: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?|\[[0-9A-Za-z:.]+\]")


def faults(settings: Settings, is_given: IsGiven, *, serves: bool) -> Iterator[str]:
    """Everything wrong with the values, apart from relays.

    `serves` is False for a command beside a running Notifier, which needs only what it touches.
    """
    yield from _database(settings)
    if not serves:
        return
    if not settings.is_dev:
        yield from _missing(is_given)
        yield from _weak_keys(settings)
    yield from _public_url(settings)
    yield from _senders(settings)
    yield from _hosts(settings)
    yield from _ports(settings)
    yield from _api_keys(settings)
    yield from _templates(settings)
    yield from _link_url(settings)
    if settings.is_dev:
        yield from _reachable(settings)


def is_project(name: str) -> bool:
    """Whether this can be a project's name."""
    return 0 < len(name) <= PROJECT_CHARS and name.isprintable() and name == name.strip()


def _missing(is_given: IsGiven) -> Iterator[str]:
    for name, what in _NEEDED.items():
        if not is_given(name):
            yield f"{name} is missing: set it to {what}."


def _weak_keys(settings: Settings) -> Iterator[str]:
    for position, key in enumerate(settings.secret_key, 1):
        if len(key) < WEAK_CHARS:
            yield (
                f"NOTIFIER_SECRET_KEY: key {position} has less than {WEAK_CHARS} characters;"
                f" take {_NEEDED['NOTIFIER_SECRET_KEY']}."
            )


def _public_url(settings: Settings) -> Iterator[str]:
    if settings.public_url is not None and not _is_web_address(settings.public_url):
        yield (
            "NOTIFIER_PUBLIC_URL has to be an http:// or https:// address without user, query and"
            " fragment, as in https://notify.example.org."
        )


def _is_web_address(text: str) -> bool:
    try:
        url = urlsplit(text)
        port_fits = url.port != 0
    except ValueError:
        return False
    if not text.isascii() or not text.isprintable() or set(text) & set(' ?#\\<>"'):
        return False
    return url.scheme in {"http", "https"} and bool(url.hostname) and "@" not in text and port_fits


def _senders(settings: Settings) -> Iterator[str]:
    mail = settings.mail
    if mail.from_ is not None and isinstance(found := _mailbox(mail.from_), str):
        yield f"NOTIFIER_MAIL__FROM is no sender. {found}"
    if mail.return_path is not None:
        found = _mailbox(mail.return_path)
        if isinstance(found, str):
            yield f"NOTIFIER_MAIL__RETURN_PATH is no address. {found}"
        elif found.name is not None:
            yield "NOTIFIER_MAIL__RETURN_PATH has to be an address alone, as in mail@example.org."
    if mail.helo_name is not None and not _HELO.fullmatch(mail.helo_name):
        yield "NOTIFIER_MAIL__HELO_NAME has to be a host name, as in mail.example.org."


def _mailbox(text: str) -> Mailbox | str:
    try:
        return parse_mailbox(text)
    except AddressError as error:
        return error.detail


def _hosts(settings: Settings) -> Iterator[str]:
    for position, text in enumerate(settings.http.allowed_hosts, 1):
        if not _HOST_ENTRY.fullmatch(text):
            yield (
                f"NOTIFIER_HTTP__ALLOWED_HOSTS: entry {position} is no host name; write"
                " notify.example.org or *.example.org, without scheme and path."
            )
    for position, text in enumerate(settings.http.trusted_proxies, 1):
        try:
            ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            yield (
                f"NOTIFIER_HTTP__TRUSTED_PROXIES: entry {position} is neither an address nor a"
                " network; write 10.0.0.7 or 10.0.0.0/8."
            )


def _ports(settings: Settings) -> Iterator[str]:
    http, mailbox, ops = settings.http, settings.mailbox, settings.ops
    listeners = (
        ("NOTIFIER_HTTP__PORT", http.host, http.port),
        ("NOTIFIER_MAILBOX__SMTP_PORT", mailbox.smtp_host, mailbox.smtp_port),
        ("NOTIFIER_MAILBOX__COMPAT_PORT", http.host, mailbox.compat_port),
        ("NOTIFIER_OPS__PORT", ops.host, ops.port),
    )
    for (one, one_host, one_port), (other, host, port) in combinations(listeners, 2):
        hosts = {one_host, host}
        if one_port is not None and one_port == port and (len(hosts) == 1 or hosts & WILDCARDS):
            yield f"{one} and {other} are both {port}: give each a port of its own."


def _database(settings: Settings) -> Iterator[str]:
    url = settings.database.url
    if url is None:
        return
    text = url.get_secret_value()
    authority = text.partition("://")[2].rpartition("@")[0]
    if not _DATABASE.fullmatch(text):
        yield (
            "NOTIFIER_DATABASE__URL has to be sqlite:///<file> or"
            " postgresql://user:password@host/name."
        )
    elif not text.startswith("sqlite") and set(authority) & set("@/?#"):
        yield (
            "NOTIFIER_DATABASE__URL is broken by an unescaped character in the user name or"
            " password: %40 for @, %2F for /, %3F for ?, %23 for #."
        )


def _api_keys(settings: Settings) -> Iterator[str]:
    seen: dict[str, str] = {}
    for name, key in settings.keys.items():
        setting = f"NOTIFIER_KEYS__{name.upper()}"
        if unknown := unknown_scopes(frozenset(key.scopes)):
            known = ", ".join(sorted(SCOPES))
            yield f"{setting}__SCOPES has {len(unknown)} unknown: there are {known}."
        if not is_project(key.project):
            yield f"{setting}__PROJECT has to be a name of at most {PROJECT_CHARS} characters."
        if key.secret is None:
            yield f"{setting}__SECRET is missing: the key has other settings, but no secret."
            continue
        secret = key.secret.get_secret_value()
        if route_of(secret) is None:
            yield (
                f"{setting}__SECRET is not in the form of a key:"
                " `notifier keys create --print-only NAME` makes one."
            )
        elif (other := seen.setdefault(secret, setting)) != setting:
            yield f"{setting}__SECRET and {other}__SECRET are the same key: each needs its own."


def _templates(settings: Settings) -> Iterator[str]:
    for position, folder in enumerate(settings.templates.dirs, 1):
        if not folder.is_dir():
            yield f"NOTIFIER_TEMPLATES__DIRS: entry {position}, {folder}, is not a folder."
    for name, relay in settings.relays.items():
        if relay.ca_file is not None and not relay.ca_file.is_file():
            yield f"NOTIFIER_RELAYS__{name.upper()}__CA_FILE: there is no file {relay.ca_file}."


def _link_url(settings: Settings) -> Iterator[str]:
    link = settings.registration.link_url
    if link is not None and (link.count("{token}") != 1 or not link.startswith("http")):
        yield (
            "NOTIFIER_REGISTRATION__LINK_URL has to be an address with {token} in it, as in"
            " https://app.example.org/verify?token={token}."
        )


def _reachable(settings: Settings) -> Iterator[str]:
    """Dev answers without a key and shows every mail: only to this machine, unless told better."""
    if settings.dev.open or settings.mailbox.password is not None:
        return
    for name, host in (
        ("NOTIFIER_HTTP__HOST", settings.http.host),
        ("NOTIFIER_MAILBOX__SMTP_HOST", settings.mailbox.smtp_host),
    ):
        if not is_loopback(host):
            yield (
                f"{name} is not a loopback address, so that others could read the inbox: use"
                " 127.0.0.1 or set NOTIFIER_MAILBOX__PASSWORD. (Only in a container whose ports are"
                " published on 127.0.0.1: NOTIFIER_DEV__OPEN=true.)"
            )
