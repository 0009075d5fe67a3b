"""Field types that bodies share: addresses, times, small maps."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from notifier.core.address import AddressError, Mailbox, parse_mailbox, parse_mailbox_parts

_ADDRESS_SCHEMA: Final = {
    "anyOf": [
        {"type": "string", "maxLength": 1000},
        {
            "type": "object",
            "properties": {
                "email": {"type": "string", "maxLength": 320},
                "name": {"anyOf": [{"type": "string", "maxLength": 256}, {"type": "null"}]},
            },
            "required": ["email"],
            "additionalProperties": False,
        },
    ],
    "description": "`a@example.org`, `Name <a@example.org>`, or an object with email and name",
    "examples": ["Ada <ada@example.org>"],
}


class Body(BaseModel):
    """A request body: unknown fields are errors, and errors never hold the input."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


def _address(value: object) -> Mailbox:
    try:
        if isinstance(value, str):
            return parse_mailbox(value)
        if isinstance(value, dict) and value.keys() <= {"email", "name"}:
            return _address_of_parts(value.get("email"), value.get("name"))
    except AddressError as error:
        raise PydanticCustomError(error.code, "{detail}", {"detail": error.detail}) from None
    raise PydanticCustomError(
        "wrong_type", "This has to be an address, or an object with email and name."
    )


def _address_of_parts(email: object, name: object) -> Mailbox:
    if not isinstance(email, str) or not (name is None or isinstance(name, str)):
        raise AddressError("wrong_type", "In an address, email and name have to be strings.")
    return parse_mailbox_parts(email, name)


def _bare_address(value: object) -> Mailbox:
    if not isinstance(value, str) or value.endswith(">"):
        raise PydanticCustomError("bad_syntax", "This has to be an address such as a@example.org.")
    return _address(value)


Address = Annotated[Mailbox, PlainValidator(_address), WithJsonSchema(_ADDRESS_SCHEMA)]
BareAddress = Annotated[
    Mailbox,
    PlainValidator(_bare_address),
    WithJsonSchema({"type": "string", "maxLength": 320, "examples": ["ada@example.org"]}),
]
MOST_ADDRESSES: Final = 1000
"""Of one list, before any of them is parsed; `LIMITS__RECIPIENTS` may allow less, never more."""

Addresses = Annotated[
    Annotated[Address, Tag("one")]
    | Annotated[list[Address], Field(min_length=1, max_length=MOST_ADDRESSES), Tag("many")],
    Discriminator(lambda value: "many" if isinstance(value, list) else "one"),
]


def mailboxes(value: Mailbox | list[Mailbox] | None) -> tuple[Mailbox, ...]:
    """One, several or none, as a tuple."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else (value,)


def _text_only(value: object) -> object:
    if not isinstance(value, str):
        raise PydanticCustomError(
            "bad_time", "This has to be a time such as 2030-01-31T09:30:00+01:00."
        )
    return value


def _to_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("bad_time", "This time is out of range.") from None


Time = Annotated[AwareDatetime, BeforeValidator(_text_only), AfterValidator(_to_utc)]
"""RFC 3339 with an offset; seconds since 1970 are refused, since nobody can see their unit."""

JsonMap = dict[str, Any]

Tags = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=64)],
        Annotated[str, Field(max_length=256)],
    ],
    Field(max_length=20),
]
"""A few short words to find a notification by."""


def time_text(value: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds, as all our answers write times."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
