"""Registrations made in one line, and confirms by token or code."""

from datetime import timedelta
from typing import Literal

from sqlalchemy import Connection, func, select

from notifier.core.token import code_hmac, token_digest
from notifier.store.events import Event
from notifier.store.registrations import (
    CONFIRM,
    REGISTER,
    Answer,
    CodePolicy,
    Confirm,
    Confirmation,
    NewRegistration,
    Registration,
    find_by_id,
)
from notifier.store.schema import confirmed_address, event, notification, registration
from tests.store.world import World

KEY = b"0123456789abcdef0123456789abcdef"
POLICY = CodePolicy(timedelta(minutes=15), tries=5)
CODE = "123456"


def happened(world: World, type_: str, registration_id: str, project: str) -> Event:
    new = world.ids.new("evt")
    return Event(new, project, type_, world.now, registration_id=registration_id)


def new_registration(
    world: World, email: str = "a@example.org", project: str = "default", code: str = CODE
) -> NewRegistration:
    """Its token is its id. The confirmation mail is one of the world's."""
    new = world.ids.new("reg")
    return NewRegistration(
        registration=Registration(
            id=new,
            project=project,
            route="live",
            email=email,
            email_key=email.casefold(),
            name=None,
            locale=None,
            data={"plan": "free"},
            redirect_to=None,
            status="pending",
            created_at=world.now,
            confirmed_at=None,
            expires_at=world.now + world.life,
        ),
        mail=world.acceptance(email, sealed=True),
        token_sha256=token_digest("confirm", new),
        code_hmac=code_hmac(KEY, new, code),
        event=happened(world, "registration.created", new, project),
    )


async def sign_up(
    world: World, email: str = "a@example.org", project: str = "default", code: str = CODE
) -> Registration:
    new = new_registration(world, email, project, code)
    await world.store.write(REGISTER, new)
    return new.registration


async def confirm(world: World, of: Registration, code: str | None = None) -> Confirmation:
    """By its link, or by a code."""
    return await world.store.write(
        CONFIRM,
        Confirm(
            registration=of,
            now=world.now,
            welcome=world.acceptance(of.email),
            event=happened(world, "registration.confirmed", of.id, of.project),
            code_hmacs=() if code is None else (code_hmac(KEY, of.id, code),),
            policy=None if code is None else POLICY,
        ),
    )


async def answer(world: World, of: Registration, code: str | None = None) -> Answer:
    return (await confirm(world, of, code)).answer


async def status(world: World, of: Registration) -> Literal["pending", "confirmed"]:
    found = await world.store.read(find_by_id, of.project, of.id)
    assert found is not None
    return found.status


async def count_confirmed(world: World) -> tuple[int, int, int]:
    """Known addresses, mails beside the confirmation mails, events of a confirm."""

    def read(connection: Connection) -> tuple[int, int, int]:
        ask = connection.scalar
        mails = ask(select(func.count(notification.c.id))) or 0
        registered = ask(select(func.count(registration.c.id))) or 0
        confirmed = event.c.type == "registration.confirmed"
        return (
            ask(select(func.count()).select_from(confirmed_address)) or 0,
            mails - registered,
            ask(select(func.count(event.c.id)).where(confirmed)) or 0,
        )

    return await world.store.read(read)
