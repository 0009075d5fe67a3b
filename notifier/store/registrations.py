"""Registrations: begun with a confirmation mail, confirmed together with the welcome mail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, select, update

from notifier.core.token import is_one_of
from notifier.store.acceptance import Acceptance, put_acceptances
from notifier.store.events import Event, is_written, put_events
from notifier.store.schema import (
    confirmed_address,
    message,
    registration,
    registration_mail,
)
from notifier.store.statements import insert_once, put
from notifier.store.write_queue import Write


@dataclass(frozen=True, slots=True)
class Registration:
    """A registration as stored. `email_key` is the form in which addresses compare."""

    id: str
    project: str
    route: Literal["live", "test"]
    email: str
    email_key: str
    name: str | None
    locale: str | None
    data: Mapping[str, Any] | None
    redirect_to: str | None
    status: Literal["pending", "confirmed"]
    created_at: datetime
    confirmed_at: datetime | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NewRegistration:
    """A registration with its confirmation mail. Token and code come as hashes only."""

    registration: Registration
    mail: Acceptance
    token_sha256: str
    code_hmac: str
    event: Event


@dataclass(frozen=True, slots=True)
class CodePolicy:
    """How long a code lives after its mail was sent, and how many wrong ones burn all."""

    life: timedelta
    tries: int


@dataclass(frozen=True, slots=True)
class Confirm:
    """Somebody shows a token (`code_hmacs` empty) or a code, as each secret key would store it.

    `welcome` is written in the same transaction, if this is what confirms the address.
    """

    registration: Registration
    now: datetime
    welcome: Acceptance
    event: Event
    code_hmacs: tuple[str, ...] = ()
    policy: CodePolicy | None = None


class Answer(StrEnum):
    """What came of a `Confirm`."""

    CONFIRMED = "confirmed"
    ALREADY = "already_confirmed"
    EXPIRED = "expired"
    CODE_EXPIRED = "code_expired"
    CODE_WRONG = "code_wrong"
    BURNT = "burnt"


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The answer; `tries_left` counts for CODE_WRONG."""

    answer: Answer
    tries_left: int = 0


_COLUMNS = (
    registration.c.id,
    registration.c.project,
    registration.c.route,
    registration.c.email,
    registration.c.email_key,
    registration.c.name,
    registration.c.locale,
    registration.c.data,
    registration.c.redirect_to,
    registration.c.status,
    registration.c.created_at,
    registration.c.confirmed_at,
    registration.c.expires_at,
)
_BY_ID = select(*_COLUMNS).where(
    registration.c.id == bindparam("id_"), registration.c.project == bindparam("project_")
)
_BY_TOKEN = select(*_COLUMNS).where(
    registration.c.id
    == select(registration_mail.c.registration_id)
    .where(registration_mail.c.token_sha256 == bindparam("digest"))
    .scalar_subquery()
)
_REGISTRATION = insert_once(registration)
_MAIL = insert_once(registration_mail)
_KNOWN = insert_once(confirmed_address).returning(confirmed_address.c.email_key)
"""Gives a row only to the first. psycopg's row count is no help: SQLAlchemy reports -1."""


def find_by_id(connection: Connection, project: str, registration_id: str) -> Registration | None:
    """The registration with this id in this project."""
    row = connection.execute(_BY_ID, {"id_": registration_id, "project_": project}).first()
    return None if row is None else _registration(row)


def find_by_token(connection: Connection, token_sha256: str) -> Registration | None:
    """The registration that a token with this digest was mailed for, in whatever project."""
    row = connection.execute(_BY_TOKEN, {"digest": token_sha256}).first()
    return None if row is None else _registration(row)


def _register(connection: Connection, items: Sequence[NewRegistration]) -> Sequence[None]:
    put(connection, _REGISTRATION, [_registration_row(item.registration) for item in items])
    put(connection, _MAIL, [row for item in items for row in _mail_rows(item)])
    put_acceptances(connection, [item.mail for item in items])
    put_events(connection, [item.event for item in items])
    return [None] * len(items)


def _confirm(connection: Connection, items: Sequence[Confirm]) -> Sequence[Confirmation]:
    return [_confirm_one(connection, item) for item in items]


REGISTER: Write[NewRegistration, None] = Write(
    "register", 11, _register, key=lambda item: item.registration.id
)
"""The registration and its confirmation mail in one transaction."""

CONFIRM: Write[Confirm, Confirmation] = Write(
    "confirm",
    12,
    _confirm,
    key=lambda item: f"{item.registration.project} {item.registration.email_key}",
)
"""Checks and confirms in one transaction, a wrong code is counted in it too."""


def _confirm_one(connection: Connection, item: Confirm) -> Confirmation:
    siblings = _lock_address(connection, item.registration)
    own = siblings.get(item.registration.id)
    if own is None:
        # It was there when the caller looked; retention has taken it since.
        return Confirmation(Answer.EXPIRED)
    if own.status == "confirmed":
        # By this very call, if it is repeated because nobody knew what became of its commit.
        mine = is_written(connection, item.event.id)
        return Confirmation(Answer.CONFIRMED if mine else Answer.ALREADY)
    if item.policy is not None:
        refused = _check_code(connection, item, item.policy, own.code_tries)
        if refused is not None:
            return refused
    if own.expires_at <= item.now:
        return Confirmation(Answer.EXPIRED)
    _settle(connection, item, tuple(siblings))
    return Confirmation(Answer.CONFIRMED)


def _lock_address(connection: Connection, own: Registration) -> Mapping[str, Any]:
    """All registrations of the address, in one order, so that two confirms cannot deadlock."""
    rows = connection.execute(
        select(
            registration.c.id,
            registration.c.status,
            registration.c.code_tries,
            registration.c.expires_at,
        )
        .where(
            registration.c.project == own.project,
            registration.c.email_key == own.email_key,
            registration.c.route == own.route,
        )
        .order_by(registration.c.id)
        .with_for_update()
    )
    return {row.id: row for row in rows}


def _check_code(
    connection: Connection, item: Confirm, policy: CodePolicy, tries: int
) -> Confirmation | None:
    """None: the code is right and lives."""
    if tries >= policy.tries:
        return Confirmation(Answer.BURNT)
    outstanding = connection.execute(
        select(registration_mail.c.code_hmac, message.c.sent_at)
        .select_from(
            registration_mail.outerjoin(message, message.c.id == registration_mail.c.message_id)
        )
        .where(
            registration_mail.c.registration_id == item.registration.id,
            registration_mail.c.burnt_at.is_(None),
        )
    ).all()
    matching = [row for row in outstanding if is_one_of(row.code_hmac, item.code_hmacs)]
    # Until its mail has left, a code lives: an outage must not kill sign-ups.
    if any(row.sent_at is None or item.now < row.sent_at + policy.life for row in matching):
        return None
    if matching:
        return Confirmation(Answer.CODE_EXPIRED)
    connection.execute(
        update(registration)
        .where(registration.c.id == item.registration.id)
        .values(code_tries=tries + 1)
    )
    left = policy.tries - tries - 1
    return Confirmation(Answer.CODE_WRONG if left else Answer.BURNT, left)


def _settle(connection: Connection, item: Confirm, siblings: Sequence[str]) -> None:
    connection.execute(
        update(registration)
        .where(registration.c.id.in_(siblings), registration.c.status == "pending")
        .values(status="confirmed", confirmed_at=item.now)
    )
    connection.execute(
        update(registration_mail)
        .where(
            registration_mail.c.registration_id.in_(siblings),
            registration_mail.c.burnt_at.is_(None),
        )
        .values(burnt_at=item.now)
    )
    first = connection.execute(
        _KNOWN,
        {
            "project": item.registration.project,
            "route": item.registration.route,
            "email_key": item.registration.email_key,
            "registration_id": item.registration.id,
            "confirmed_at": item.now,
        },
    ).first()
    if first is not None:
        put_acceptances(connection, [item.welcome])
    put_events(connection, [item.event])


def _registration(row: Any) -> Registration:
    return Registration(*row)


def _registration_row(new: Registration) -> dict[str, Any]:
    return {
        "id": new.id,
        "project": new.project,
        "route": new.route,
        "email": new.email,
        "email_key": new.email_key,
        "name": new.name,
        "locale": new.locale,
        "data": new.data,
        "redirect_to": new.redirect_to,
        "status": new.status,
        "code_tries": 0,
        "created_at": new.created_at,
        "expires_at": new.expires_at,
    }


def _mail_rows(item: NewRegistration) -> list[dict[str, Any]]:
    return [
        {
            "message_id": one.id,
            "project": item.registration.project,
            "registration_id": item.registration.id,
            "token_sha256": item.token_sha256,
            "code_hmac": item.code_hmac,
            "created_at": item.registration.created_at,
        }
        for one in item.mail.messages
    ]
