"""Beginning a sign-up: what is stored, what the mail says, and what it never says."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from notifier.compose.catalogue import Catalogue
from notifier.core.errors import Invalid, NotFound
from notifier.flows.desk import Client
from notifier.flows.registration import find
from notifier.settings.sections import RegistrationSettings
from notifier.store.schema import metadata
from tests.support.office import LIVE, PUBLIC_URL, START, Office, text_of

pytestmark = pytest.mark.anyio


async def test_registration_mail_and_event_are_one_commit(each: Office) -> None:
    begun = await each.register(data={"plan": "pro"})
    assert await find(each.desk, LIVE, begun.id) == begun
    assert begun.expires_at == START + timedelta(hours=24)
    assert await each.counts() == {
        "content": 1, "notification": 1, "message": 1, "outbox": 1, "event": 2,
        "registration": 1, "registration_mail": 1,
    }  # fmt: skip


async def test_the_mail_has_link_and_code_and_nothing_that_was_typed(office: Office) -> None:
    await office.register(name="Zebulon", data={"note": "walrus"})
    (mail,) = await office.mails_to("ann@example.org")
    token, code = await office.secrets_of("ann@example.org")
    assert f"{PUBLIC_URL}/confirm?t={token}" in text_of(mail)
    assert len(code) == 6
    assert "Zebulon" not in mail.as_string()
    assert "walrus" not in mail.as_string()


async def test_no_secret_lies_readable_in_any_table(each: Office) -> None:
    await each.register()
    token, code = await each.secrets_of("ann@example.org")

    def dump(connection: Any) -> str:
        rows = [connection.execute(select(table)).all() for table in metadata.tables.values()]
        return repr(rows)

    dumped = await each.desk.store.read(dump)
    assert token not in dumped
    assert code not in dumped.replace("datetime", "")
    assert b"/confirm" not in (await each.bodies())[0]


async def test_a_template_that_forgot_its_secrets_is_sealed_all_the_same(office: Office) -> None:
    class Forgetful(Catalogue):
        def render(self, *args: Any, **options: Any) -> Any:
            return replace(super().render(*args, **options), secret=False)

    office.desk = replace(office.desk, catalogue=Forgetful(office.desk.catalogue._mails))
    await office.register()
    assert b"Subject" not in (await office.bodies())[0]


async def test_the_link_may_lead_to_the_callers_own_page(office: Office) -> None:
    rules = RegistrationSettings(link_url="https://app.example.com/verify?token={token}&x=1")
    settings = office.desk.settings.model_copy(update={"registration": rules})
    office.desk = replace(office.desk, settings=settings)
    await office.register()
    token, _ = await office.secrets_of("ann@example.org")
    (mail,) = await office.mails_to("ann@example.org")
    assert f"https://app.example.com/verify?token={token}&x=1" in text_of(mail)


async def test_the_mail_dies_with_its_link(office: Office) -> None:
    rules = RegistrationSettings(life_s=3600)
    settings = office.desk.settings.model_copy(update={"registration": rules})
    office.desk = replace(office.desk, settings=settings)
    await office.register()

    def read(connection: Any) -> Any:
        return connection.execute(select(metadata.tables["outbox"])).one().expires_at

    assert await office.desk.store.read(read) == START + timedelta(hours=1)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Ada", "Ada"),
        ("  Ada  ", "Ada"),
        ("Jürgen O\u2019Neill-Smith", "Jürgen O\u2019Neill-Smith"),
        ("Dr. Ada", "Dr. Ada"),
        ("x" * 64, "x" * 64),
        ("x" * 65, None),
        ("x" * 100_000, None),
        ("", None),
        ("   ", None),
        ("\u2013", None),
        ("\u200d", None),
        ("Ada\nBcc: eve@example.org", None),
        ("Ada\u202e", None),
        ("Win at https://evil.example", None),
        ("evil.example", None),
        ("www.evil", None),
        ("=?utf-8?q?x?=", None),
    ],
)
async def test_an_unfit_name_is_dropped(office: Office, typed: str, kept: str | None) -> None:
    assert (await office.register(name=typed)).name == kept


async def test_faults_are_told_at_once_and_nothing_is_stored(office: Office) -> None:
    with pytest.raises(Invalid) as refused:
        await office.register(
            locale="no language", redirect_to="https://evil.example", data={"x": "y" * 4096}
        )
    assert sorted((one.pointer, one.code) for one in refused.value.errors) == [
        ("/data", "too_long"),
        ("/locale", "bad_locale"),
        ("/redirect_to", "redirect_not_allowed"),
    ]
    assert await office.counts() == {}


@pytest.mark.parametrize(
    ("locale", "subject"),
    [("de-AT", "Bestätigen Sie"), ("de", "Bestätigen Sie"), ("fr", "Confirm"), (None, "Confirm")],
)
async def test_the_mail_speaks_the_language_of_the_sign_up(
    office: Office, locale: str | None, subject: str
) -> None:
    await office.register(locale=locale)
    (mail,) = await office.mails_to("ann@example.org")
    assert subject in mail["Subject"]


@pytest.mark.parametrize("registration_id", ["reg_1", "", "reg_" + "0" * 32, "x" * 5000, "a\0b"])
async def test_an_unknown_id_is_not_found(each: Office, registration_id: str) -> None:
    with pytest.raises(NotFound):
        await find(each.desk, LIVE, registration_id)


async def test_another_project_does_not_find_it(office: Office) -> None:
    begun = await office.register()
    with pytest.raises(NotFound):
        await find(office.desk, Client("shop", "live"), begun.id)


async def test_two_sign_ups_of_one_address_are_two(each: Office) -> None:
    first, second = await each.register(), await each.register()
    assert first.id != second.id
    assert (await each.counts())["registration_mail"] == 2
