"""`mail.toml`: what a template asks of its callers and says about its mails."""

import difflib
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from notifier.compose.rendered import Stream
from notifier.compose.urls import is_safe_url
from notifier.core.address import AddressError, Mailbox, parse_mailbox
from notifier.core.errors import Misconfigured

VariableType = Literal["string", "integer", "number", "boolean", "url", "list", "object"]

PYTHON_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "url": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "list": list,
    "object": dict,
}
RESERVED = frozenset({"brand", "locale", "preheader", "subject"})
"""Names that templates find filled in; `mail.toml` cannot declare them."""

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,63}")
_KEYS = ("description", "life_s", "locale", "locales", "preheader", "sender", "stream", "variables")
_VARIABLE_KEYS = ("default", "description", "required", "secret", "type", "untrusted")


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable. A stranger typed the `untrusted` ones; the `secret` ones must not be kept."""

    name: str
    type: VariableType = "string"
    required: bool = True
    default: object = None
    untrusted: bool = False
    secret: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class Contract:
    """A template's `mail.toml`.

    `locale` is the language of the files that lie beside it; `preheaders` maps a locale to the
    template source of the line that inboxes show behind the subject.
    """

    name: str
    description: str = ""
    locale: str = "en"
    stream: Stream = "transactional"
    life_s: float | None = None
    sender: Mailbox | None = None
    preheaders: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, Variable] = field(default_factory=dict)

    @property
    def secret(self) -> bool:
        """Whether mails of this template hold something that must not be kept."""
        return any(variable.secret for variable in self.variables.values())


def did_you_mean(word: str, known: Collection[str]) -> str:
    """` Did you mean "…"?` with the nearest of `known`, or an empty string."""
    near = difflib.get_close_matches(word[:100], known, n=1)
    return f' Did you mean "{near[0]}"?' if near else ""


def has_type(value: object, kind: VariableType) -> bool:
    """Whether a JSON value is of this type; true and false are no numbers."""
    if isinstance(value, bool) and kind != "boolean":
        return False
    return isinstance(value, PYTHON_TYPES[kind])


def read_contract(name: str, text: str, path: str) -> Contract:
    """The contract in `text`. Raises `Misconfigured` with everything that is wrong with it."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path}: {error}") from error
    if problems := [f"{path}: {problem}" for problem in _problems(data)]:
        raise Misconfigured(f"{path} has mistakes.", problems=problems)
    locale = data.get("locale", "en")
    preheaders = {tag: table["preheader"] for tag, table in data.get("locales", {}).items()}
    if "preheader" in data:
        preheaders[locale] = data["preheader"]
    return Contract(
        name=name,
        description=data.get("description", ""),
        locale=locale,
        stream=data.get("stream", "transactional"),
        life_s=data.get("life_s"),
        sender=parse_mailbox(data["sender"]) if "sender" in data else None,
        preheaders=preheaders,
        variables={key: _variable(key, table) for key, table in data.get("variables", {}).items()},
    )


def _variable(name: str, table: Mapping[str, Any]) -> Variable:
    required = table.get("required", "default" not in table)
    return Variable(**{"name": name, **table, "required": required})


def _problems(data: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown(data, _KEYS, "")
    yield from _wrong(data, {"description": "string", "locale": "string", "preheader": "string"})
    yield from _wrong(data, {"locales": "object", "variables": "object", "sender": "string"})
    yield from _wrong(data, {"life_s": "number"})
    if "stream" in data and data["stream"] not in get_args(Stream):
        yield f"stream must be one of {', '.join(get_args(Stream))}."
    if has_type(life_s := data.get("life_s"), "number") and not 0 < cast(float, life_s) < 1e9:
        yield "life_s must be a number of seconds above 0."
    if isinstance(data.get("sender"), str):
        yield from _sender_problems(data["sender"])
    for tag, table in _tables(data, "locales"):
        if not isinstance(table, dict) or set(table) != {"preheader"}:
            yield f"[locales.{tag}] holds exactly one key, preheader."
        else:
            yield from _wrong(table, {"preheader": "string"}, f"locales.{tag}.")
    for key, table in _tables(data, "variables"):
        yield from _variable_problems(key, table)


def _tables(data: Mapping[str, Any], key: str) -> Iterator[tuple[str, Any]]:
    tables = data.get(key, {})
    return iter(tables.items() if isinstance(tables, dict) else ())


def _unknown(table: Mapping[str, Any], known: Collection[str], prefix: str) -> Iterator[str]:
    for key in table:
        if key not in known:
            yield f'there is no key "{prefix}{key}".{did_you_mean(key, known)}'


def _wrong(
    table: Mapping[str, Any], types: Mapping[str, VariableType], prefix: str = ""
) -> Iterator[str]:
    for key, kind in types.items():
        if key in table and not has_type(table[key], kind):
            yield f"{prefix}{key} must be of type {kind}."


def _sender_problems(text: str) -> Iterator[str]:
    try:
        parse_mailbox(text)
    except AddressError as error:
        yield f"sender is not an address. {error.detail}"


def _variable_problems(name: str, table: object) -> Iterator[str]:
    prefix = f"variables.{name}"
    if not IDENTIFIER.fullmatch(name) or name in RESERVED:
        taken = ", ".join(sorted(RESERVED))
        yield f"{prefix} is not a name that can be used (lower case, none of {taken})."
    if not isinstance(table, dict):
        yield f"{prefix} must be a table, such as [{prefix}]."
        return
    yield from _unknown(table, _VARIABLE_KEYS, f"{prefix}.")
    switches: dict[str, VariableType] = dict.fromkeys(
        ("required", "secret", "untrusted"), "boolean"
    )
    yield from _wrong(table, {**switches, "description": "string"}, f"{prefix}.")
    kind = table.get("type", "string")
    if kind not in tuple(PYTHON_TYPES):  # a tuple: TOML may hand us a list
        yield f"{prefix}.type must be one of {', '.join(PYTHON_TYPES)}."
    elif "default" in table:
        yield from _default_problems(prefix, kind, table)


def _default_problems(prefix: str, kind: VariableType, table: Mapping[str, Any]) -> Iterator[str]:
    default = table["default"]
    if table.get("required") is True:
        yield f"{prefix} is required, so its default would never be used."
    if not has_type(default, kind) or (kind == "url" and not is_safe_url(default)):
        yield f"{prefix}.default must be of type {kind}."
