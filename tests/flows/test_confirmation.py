"""Confirming by link and by code: once, with one welcome mail, whatever is tried."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from notifier.core.errors import Gone, Invalid, NotFound, NotifierError
from notifier.flows.confirmation import (
    CodeWrong,
    Confirmed,
    confirm_by_code,
    confirm_by_token,
    peek,
)
from notifier.flows.desk import Client
from notifier.flows.registration import find
from notifier.store.registrations import Registration
from notifier.store.schema import message
from tests.support.office import LIVE, START, Office, text_of

pytestmark = pytest.mark.anyio
ANN = "ann@example.org"


async def by_code(office: Office, begun: Registration, typed: str) -> Confirmed:
    return await confirm_by_code(office.desk, LIVE, begun.id, typed)


async def welcomes(office: Office) -> int:
    mails = await office.mails_to(ANN)
    return sum("code" not in text_of(mail) for mail in mails)


def other_than(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06d}"


async def set_sent(office: Office, seconds: float) -> None:
    """The confirmation mail left so many seconds after the start."""
    at = START + timedelta(seconds=seconds)

    def read(connection: Any) -> None:
        connection.execute(update(message).values(sent_at=at))
        connection.commit()

    with office.desk.store.database.engine.connect() as connection:
        read(connection)


async def test_looking_changes_nothing(each: Office) -> None:
    begun = await each.register()
    token, _ = await each.secrets_of(ANN)
    before = await each.counts()
    assert await peek(each.desk, token) == begun
    assert await each.counts() == before
    assert (await find(each.desk, LIVE, begun.id)).status == "pending"


async def test_the_link_confirms_once_and_then_says_so(each: Office) -> None:
    await each.register(name="Ada")
    token, _ = await each.secrets_of(ANN)
    first = await confirm_by_token(each.desk, token)
    each.clock.move(60)
    second = await confirm_by_token(each.desk, token)
    assert (first.already, second.already) == (False, True)
    assert first.registration.status == "confirmed"
    assert second.registration.confirmed_at == first.registration.confirmed_at == START
    assert await welcomes(each) == 1
    assert "Ada" in text_of((await each.mails_to(ANN))[-1])


async def test_the_code_confirms_and_burns_the_link_softly(each: Office) -> None:
    begun = await each.register()
    token, code = await each.secrets_of(ANN)
    assert not (await by_code(each, begun, code)).already
    assert (await confirm_by_token(each.desk, token)).already
    assert (await by_code(each, begun, code)).already
    assert await welcomes(each) == 1


@pytest.mark.parametrize("at_once", [2, 20])
async def test_any_number_at_once_are_one_welcome(each: Office, at_once: int) -> None:
    begun = await each.register()
    token, code = await each.secrets_of(ANN)
    links = (confirm_by_token(each.desk, token) for _ in range(at_once))
    codes = (by_code(each, begun, code) for _ in range(at_once))
    done = await asyncio.gather(*links, *codes)
    assert [one.already for one in done].count(False) == 1
    assert await welcomes(each) == 1


async def test_confirming_one_confirms_the_address(each: Office) -> None:
    first = await each.register()
    old_token, _ = await each.secrets_of(ANN)
    second = await each.register()
    token, _ = await each.secrets_of(ANN)
    await confirm_by_token(each.desk, token)
    for begun in (first, second):
        assert (await find(each.desk, LIVE, begun.id)).status == "confirmed"
    assert (await confirm_by_token(each.desk, old_token)).already
    assert await welcomes(each) == 1


async def test_a_later_sign_up_of_a_known_address_brings_no_second_welcome(each: Office) -> None:
    for _ in range(2):
        await each.register()
        token, _ = await each.secrets_of(ANN)
        assert not (await confirm_by_token(each.desk, token)).already
    assert await welcomes(each) == 1


@pytest.mark.parametrize("form", ["{}", " {} ", "{:.3} {}", "{:.3}-{}", "{:.3}\u2009{}"])
async def test_a_code_may_be_typed_as_people_type(office: Office, form: str) -> None:
    begun = await office.register()
    _, code = await office.secrets_of(ANN)
    typed = form.format(code, code[3:]) if form.count("{") > 1 else form.format(code)
    assert not (await by_code(office, begun, typed)).already


@pytest.mark.parametrize("zero", ["\uff10", "\u0660", "\u0966"])
async def test_digits_of_other_scripts_are_digits(office: Office, zero: str) -> None:
    begun = await office.register()
    _, code = await office.secrets_of(ANN)
    typed = "".join(chr(ord(zero) + int(digit)) for digit in code)
    assert not (await by_code(office, begun, typed)).already


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "12345a", "½23456", "①23456", "+12345"])
async def test_what_is_no_code_costs_no_try(office: Office, typed: str) -> None:
    begun = await office.register()
    _, code = await office.secrets_of(ANN)
    for _ in range(9):
        with pytest.raises(Invalid) as refused:
            await by_code(office, begun, typed)
        assert [one.code for one in refused.value.errors] == ["code_malformed"]
    assert not (await by_code(office, begun, code)).already


async def test_tries_are_counted_down_and_burn_the_code_never_the_link(each: Office) -> None:
    begun = await each.register()
    token, code = await each.secrets_of(ANN)
    left = []
    for _ in range(4):
        with pytest.raises(CodeWrong) as wrong:
            await by_code(each, begun, other_than(code))
        left.append(wrong.value.extra["tries_left"])
    assert left == [4, 3, 2, 1]
    for typed in (other_than(code), code):
        with pytest.raises(Gone) as burnt:
            await by_code(each, begun, typed)
        assert burnt.value.code == "code_burnt"
    assert not (await confirm_by_token(each.desk, token)).already


async def test_wrong_tries_at_once_are_all_counted(each: Office) -> None:
    begun = await each.register()
    _, code = await each.secrets_of(ANN)

    async def attempt() -> str:
        try:
            await by_code(each, begun, other_than(code))
        except NotifierError as error:
            return error.code
        return "confirmed"

    said = await asyncio.gather(*(attempt() for _ in range(12)))
    assert (said.count("code_wrong"), said.count("code_burnt")) == (4, 8)


@pytest.mark.parametrize(
    ("sent_after_s", "shown_after_s", "lives"),
    [
        (None, 23 * 3600, True),
        (0, 899, True),
        (0, 900, False),
        (7200, 8099, True),
        (7200, 8100, False),
    ],
)
async def test_a_code_lives_from_the_sending_of_its_mail(
    each: Office, sent_after_s: float | None, shown_after_s: float, lives: bool
) -> None:
    begun = await each.register()
    _, code = await each.secrets_of(ANN)
    if sent_after_s is not None:
        await set_sent(each, sent_after_s)
    each.clock.move(shown_after_s)
    if lives:
        assert not (await by_code(each, begun, code)).already
        return
    with pytest.raises(Gone) as gone:
        await by_code(each, begun, code)
    assert gone.value.code == "code_expired"


async def test_a_link_lives_for_a_day(each: Office) -> None:
    await each.register()
    token, _ = await each.secrets_of(ANN)
    each.clock.move(86_400)
    with pytest.raises(Gone) as gone:
        await confirm_by_token(each.desk, token)
    assert gone.value.code == "expired"
    assert await welcomes(each) == 0


@pytest.mark.parametrize("token", ["", "x", "é\0", "A" * 43, "A" * 100_000])
async def test_an_unknown_token_is_not_found(each: Office, token: str) -> None:
    with pytest.raises(NotFound) as refused:
        await confirm_by_token(each.desk, token)
    assert refused.value.code == "token_unknown"


async def test_a_token_confirms_in_its_own_project_only(each: Office) -> None:
    begun = await each.register()
    token, code = await each.secrets_of(ANN)
    stranger = Client("shop", "live")
    with pytest.raises(NotFound):
        await confirm_by_token(each.desk, token, stranger)
    with pytest.raises(NotFound):
        await confirm_by_code(each.desk, stranger, begun.id, code)
    assert not (await confirm_by_token(each.desk, token, LIVE)).already


async def test_addresses_that_differ_in_case_are_one_person(office: Office) -> None:
    await office.register("Ann@Example.ORG")
    token, _ = await office.secrets_of("Ann@example.org")
    await confirm_by_token(office.desk, token)
    await office.register("ann@example.org")
    token, _ = await office.secrets_of(ANN)
    await confirm_by_token(office.desk, token)
    assert await welcomes(office) == 0
