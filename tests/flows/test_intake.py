"""Accepting notifications: what is stored, what is refused, and what a repeated call is told."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from notifier.core.address import parse_mailbox
from notifier.core.errors import Invalid, KeyReused
from notifier.core.message import Status
from notifier.flows.desk import Client
from notifier.flows.intake import InlineWords, MailRequest, Once, accept
from notifier.settings.sections import LimitSettings
from notifier.store.schema import message, notification
from tests.support.office import LIVE, START, Office, boxes, mail, parsed, templated, text_of

pytestmark = pytest.mark.anyio

TITLE = {"title": "Shipped", "message": "It is on its way."}
ONCE = Once("create_notification", "key-1", "f" * 64)


async def test_one_row_for_each_recipient_in_the_callers_order(each: Office) -> None:
    to = boxes("Zoe <zoe@example.org>", "ann@example.org", "bob@example.net")
    accepted = await each.accept(mail(to=to))
    view = await each.view(accepted.notification_id)
    assert [one.to for one in view.messages] == [
        "zoe@example.org",
        "ann@example.org",
        "bob@example.net",
    ]
    assert len({one.message_id for one in view.messages}) == 3
    assert await each.counts() == {
        "content": 3, "notification": 1, "message": 3, "outbox": 3, "event": 1,
    }  # fmt: skip


async def test_each_recipient_sees_only_himself(office: Office) -> None:
    await office.accept(mail(to=boxes("Zoe <zoe@example.org>", "ann@example.org")))
    assert [parsed(body)["To"] for body in await office.bodies()] == [
        "Zoe <zoe@example.org>",
        "ann@example.org",
    ]


async def test_the_view_after_the_commit_is_what_a_read_finds(each: Office) -> None:
    seen: list[Any] = []

    def render(view: Any) -> str:
        seen.append(view)
        return ""

    later = START + timedelta(hours=1)
    request = mail(
        to=boxes("ann@example.org", "bob@example.org"),
        scheduled_at=later,
        reference="order 7",
        tags={"kind": "order"},
        metadata={"n": [1, 2.5, None]},
        stream="bulk",
    )
    accepted = await accept(each.desk, LIVE, request, render)
    assert seen == [await each.view(accepted.notification_id)]


async def test_finished_bytes_are_stored(office: Office) -> None:
    request = templated(
        TITLE, reply_to=boxes("help@example.com"), headers=(("X-Entity-Ref-ID", "7"),)
    )
    accepted = await office.accept(request)
    (found,) = await office.mails_to("ann@example.org")
    (message_view,) = (await office.view(accepted.notification_id)).messages
    assert (found["Subject"], found["From"]) == ("Shipped", "Shop <shop@example.com>")
    assert (found["Reply-To"], found["X-Entity-Ref-ID"]) == ("help@example.com", "7")
    assert found["Message-ID"] == message_view.message_id
    assert "It is on its way." in text_of(found)


@pytest.mark.parametrize(
    ("request_", "life"),
    [
        (mail(), timedelta(hours=24)),
        (
            templated({"link": "https://x.example/", "code": "123456"}, "verify_email"),
            timedelta(hours=24),
        ),
        (mail(scheduled_at=START + timedelta(days=3)), timedelta(days=4)),
        (mail(expires_at=START + timedelta(seconds=1)), timedelta(seconds=1)),
        (mail(scheduled_at=START - timedelta(days=3)), timedelta(hours=24)),
    ],
)
async def test_life(office: Office, request_: MailRequest, life: timedelta) -> None:
    accepted = await office.accept(request_)
    assert (await office.view(accepted.notification_id)).expires_at == START + life


async def test_a_scheduled_mail_waits_and_is_dated_at_its_time(office: Office) -> None:
    accepted = await office.accept(mail(scheduled_at=START + timedelta(hours=1)))
    (one,) = (await office.view(accepted.notification_id)).messages
    assert (one.status, one.next_attempt_at) == (Status.SCHEDULED, START + timedelta(hours=1))
    assert parsed((await office.bodies())[0])["Date"].datetime == START + timedelta(hours=1)


async def test_a_time_in_the_past_means_now(office: Office) -> None:
    accepted = await office.accept(mail(scheduled_at=datetime(1, 1, 1, tzinfo=UTC)))
    assert await office.status(accepted.notification_id) == "queued"
    assert (await office.view(accepted.notification_id)).scheduled_at == START
    assert parsed((await office.bodies())[0])["Date"].datetime == START


@pytest.mark.parametrize("route", ["live", "test"])
async def test_a_test_key_marks_its_mail_at_intake(office: Office, route: Any) -> None:
    await office.accept(client=Client("default", route))

    def read(connection: Any) -> Any:
        return connection.execute(notification.select()).one().route

    assert await office.desk.store.read(read) == route


async def test_secrets_are_sealed_and_the_rest_is_not(each: Office) -> None:
    await each.accept(templated({"link": "https://x.example/", "code": "804213"}, "verify_email"))
    await each.accept()
    sealed, plain = await each.bodies()
    assert b"804213" not in sealed
    assert b"804213" in each.desk.store.seal.unseal(sealed)
    assert b"It works." in plain


async def test_a_project_does_not_see_anothers(office: Office) -> None:
    accepted = await office.accept(client=Client("shop", "live"))
    assert (await office.view(accepted.notification_id, "shop")).project == "shop"
    with pytest.raises(AssertionError):
        await office.view(accepted.notification_id, "default")


FAR = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
LONG = "x" * (1024 * 1024 + 1)


@pytest.mark.parametrize(
    ("request_", "errors"),
    [
        (mail(to=boxes(*["ann@example.org"] * 51)), ["/to too_many"]),
        (mail(reply_to=boxes(*["ann@example.org"] * 51)), ["/reply_to too_many"]),
        (mail(from_=parse_mailbox("boss@example.net")), ["/from from_not_allowed"]),
        (mail(from_=parse_mailbox("boss@mail.example.com")), ["/from from_not_allowed"]),
        (mail(headers=(("Bcc", "eve@example.org"),)), ["/headers/Bcc header_not_allowed"]),
        (
            mail(headers=(("X-Entity-Ref-ID", "a\r\nBcc: b@c.de"),)),
            ["/headers/X-Entity-Ref-ID control_character"],
        ),
        (mail(expires_at=START), ["/expires_at not_after_start"]),
        (
            mail(expires_at=START, scheduled_at=START - timedelta(days=1)),
            ["/expires_at not_after_start"],
        ),
        (
            mail(expires_at=START + timedelta(1), scheduled_at=START + timedelta(1)),
            ["/expires_at not_after_start"],
        ),
        (mail(scheduled_at=FAR), ["/scheduled_at too_far"]),
        (mail(metadata={"x": "y" * 4096}), ["/metadata too_long"]),
        (mail(words=InlineWords("Hello", None, LONG)), ["/text too_long"]),
        (mail(words=InlineWords("Hello", LONG, "x")), ["/html too_long"]),
        (mail(words=InlineWords("Hello", LONG, None)), ["/html too_long"]),
        (mail(words=InlineWords("Hello", None, "é" * 600_000)), ["/text too_long"]),
        (mail(words=InlineWords("x" * 401, None, "x")), ["/subject too_long"]),
        (mail(words=InlineWords(" ", None, " ")), ["/subject blank", "/text missing"]),
        (
            mail(words=InlineWords("=?utf-8?q?hello=0ABcc:_evil@x?=", None, "x")),
            ["/subject encoded_word"],
        ),
        (
            templated({"titel": "x"}),
            [
                "/template/variables/message missing",
                "/template/variables/titel unknown",
                "/template/variables/title missing",
            ],
        ),
        (templated(TITLE | {"title": "x" * 401}), ["/template/variables too_long"]),
        (
            templated(TITLE | {"title": "a\nBcc: b@c.de"}),
            ["/template/variables/title control_character"],
        ),
        (templated(TITLE | {"message": "x" * 262_144}), ["/template/variables too_long"]),
        (templated({}, "notificaton"), ["/template/name unknown_template"]),
        (
            templated({}, from_=parse_mailbox("a@b.example"), expires_at=START),
            [
                "/expires_at not_after_start",
                "/from from_not_allowed",
                "/template/variables/message missing",
                "/template/variables/title missing",
            ],
        ),
    ],
)
async def test_refused_with_every_fault_and_nothing_stored(
    office: Office, request_: MailRequest, errors: list[str]
) -> None:
    with pytest.raises(Invalid) as refused:
        await office.accept(request_, once=ONCE)
    assert sorted(f"{one.pointer} {one.code}" for one in refused.value.errors) == errors
    assert await office.counts() == {}


async def test_a_misspelt_name_is_met_with_the_nearest(office: Office) -> None:
    with pytest.raises(Invalid) as refused:
        await office.accept(templated({"titel": "x", "message": "y"}))
    assert any("title" in one.detail for one in refused.value.errors if "titel" in one.pointer)
    with pytest.raises(Invalid) as refused:
        await office.accept(templated(TITLE, "notificaton"))
    assert "notification" in refused.value.errors[0].detail


@pytest.mark.parametrize(
    ("domains", "sender", "allowed"),
    [
        ((), "a@example.com", True),
        ((), "a@other.example", False),
        (("other.example",), "a@other.example", True),
        (("OTHER.example",), "a@other.Example", True),
        (("other.example",), "a@example.com", False),
        (("other.example",), "a@sub.other.example", False),
    ],
)
async def test_who_may_send_from_where(
    office: Office, domains: tuple[str, ...], sender: str, allowed: bool
) -> None:
    request = mail(from_=parse_mailbox(sender))
    client = Client("default", "live", domains)
    if allowed:
        await office.accept(request, client=client)
    else:
        with pytest.raises(Invalid):
            await office.accept(request, client=client)


async def test_a_huge_html_is_refused_before_its_text_is_made(office: Office) -> None:
    html = "<p>" * 5_000_000
    began = asyncio.get_running_loop().time()
    with pytest.raises(Invalid):
        await office.accept(mail(words=InlineWords("Hello", html, None)))
    assert asyncio.get_running_loop().time() - began < 0.5


async def test_making_a_long_mail_does_not_hold_up_the_others(office: Office) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    await office.accept(mail(words=InlineWords("Hello", "<p>one</p>" * 30_000, None)))
    ticking.cancel()
    assert ticks >= 5


@pytest.mark.parametrize(
    ("limit", "pointer"), [("message_bytes", ""), ("call_bytes", "/to")], ids=["mail", "call"]
)
async def test_finished_mails_are_bounded_too(office: Office, limit: str, pointer: str) -> None:
    limits = LimitSettings.model_validate({limit: 3000})
    settings = office.desk.settings.model_copy(update={"limits": limits})
    office.desk = replace(office.desk, settings=settings)
    text = "x" * (4000 if limit == "message_bytes" else 1000)
    words, to = InlineWords("Hello", None, text), boxes("a@example.org", "b@example.org")
    await office.accept(mail(words=InlineWords("Hello", None, "short"), to=to))
    before = await office.counts()
    with pytest.raises(Invalid) as refused:
        await office.accept(mail(words=words, to=(*to, *boxes("c@example.org"))))
    assert [(one.pointer, one.code) for one in refused.value.errors] == [(pointer, "too_large")]
    assert await office.counts() == before


async def test_the_same_key_and_body_is_told_the_same(each: Office) -> None:
    first = await each.accept(once=ONCE)
    each.clock.move(60)
    again = await each.accept(once=ONCE)
    assert (again.answer, again.notification_id) == (first.answer, first.notification_id)
    assert (first.replayed, again.replayed) == (False, True)
    assert (await each.counts())["message"] == 1


async def test_the_same_key_with_another_body_is_refused(each: Office) -> None:
    await each.accept(once=ONCE)
    with pytest.raises(KeyReused):
        await each.accept(once=Once(ONCE.http_route, ONCE.key, "0" * 64))
    assert (await each.counts())["message"] == 1


async def test_a_replay_does_not_ask_whether_the_call_would_still_do(office: Office) -> None:
    first = await office.accept(mail(expires_at=START + timedelta(seconds=5)), once=ONCE)
    office.clock.move(60)
    unfit = templated({"no": "more"}, expires_at=START + timedelta(seconds=5))
    again = await office.accept(unfit, once=ONCE)
    assert (again.answer, again.replayed) == (first.answer, True)


async def test_an_error_does_not_hold_a_key(each: Office) -> None:
    with pytest.raises(Invalid):
        await each.accept(templated({}), once=ONCE)
    assert not (await each.accept(once=ONCE)).replayed


@pytest.mark.parametrize("other", [Client("shop", "live"), Client("default", "test")])
async def test_a_key_counts_for_one_project_and_one_kind_of_mail(
    each: Office, other: Client
) -> None:
    """A rehearsal with a test key must not swallow the real mail."""
    first = await each.accept(client=other, once=ONCE)
    second = await each.accept(once=ONCE)
    assert not second.replayed
    assert second.notification_id != first.notification_id


async def test_of_fifty_at_once_with_one_key_one_is_accepted(each: Office) -> None:
    accepted = await asyncio.gather(*(each.accept(once=ONCE) for _ in range(50)))
    assert len({one.notification_id for one in accepted}) == 1
    assert [one.replayed for one in accepted].count(False) == 1
    assert (await each.counts())["message"] == 1
    assert [fact.event for fact in each.facts] == ["notification.accepted"]


async def test_fifty_at_once_without_a_key_are_fifty(each: Office) -> None:
    accepted = await asyncio.gather(*(each.accept() for _ in range(50)))
    assert len({one.notification_id for one in accepted}) == 50
    assert (await each.counts())["outbox"] == 50


async def test_the_envelope_is_the_return_path_and_one_recipient(each: Office) -> None:
    await each.accept(mail(to=boxes("Jürgen <jürgen@exämple.org>")))

    def read(connection: Any) -> Any:
        return connection.execute(message.select()).one()

    row = await each.desk.store.read(read)
    assert (row.mail_from, row.rcpt_to, row.smtputf8) == (
        "bounces@example.com",
        "jürgen@xn--exmple-cua.org",
        True,
    )
