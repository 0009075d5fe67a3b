"""A draft becomes bytes that any parser reads as what was meant."""

import email
import email.policy
import re
from dataclasses import replace
from datetime import UTC, datetime
from email.message import EmailMessage, Message, MIMEPart

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notifier.compose.attachments import Attachment
from notifier.compose.mime import Composed, Draft, compose
from notifier.core.address import Mailbox
from notifier.core.errors import Invalid

DRAFT = Draft(
    from_=Mailbox("shop@example.org", "Shop"),
    to=(Mailbox("jane@example.org", "Jörg Müller"),),
    subject="Grüße aus Köln",
    text="Hello\n\nJörg\n",
    html="<p>Hello Jörg</p>\n",
    message_id="<0123abc.def@mail.example.org>",
    date=datetime(2026, 11, 24, 12, 30, 15, tzinfo=UTC),
)


def parsed(composed: Composed) -> EmailMessage:
    message = email.message_from_bytes(composed.content, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def content(part: MIMEPart) -> str:
    return str(part.get_content()).replace("\r\n", "\n")


def payload(part: Message) -> bytes:
    raw = part.get_payload(decode=True)
    assert isinstance(raw, bytes)
    return raw


def codes(draft: Draft) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        compose(draft)
    return [(error.pointer, error.code) for error in caught.value.errors]


def test_a_mail_reads_back_as_its_draft() -> None:
    message = parsed(compose(DRAFT))
    assert message["From"] == "Shop <shop@example.org>"
    assert message["To"].addresses[0].display_name == "Jörg Müller"
    assert message["Subject"] == "Grüße aus Köln"
    assert message["Date"].datetime == DRAFT.date
    assert message["Message-ID"] == DRAFT.message_id
    assert message.get_content_type() == "multipart/alternative"
    text, html = message.iter_parts()
    assert (text.get_content_type(), content(text)) == ("text/plain", DRAFT.text)
    assert (html.get_content_type(), content(html)) == ("text/html", DRAFT.html)


def test_a_mail_without_html_is_a_single_text() -> None:
    message = parsed(compose(replace(DRAFT, html=None)))
    assert message.get_content_type() == "text/plain"
    assert content(message) == DRAFT.text


def test_a_mail_has_each_header_once_and_no_bcc() -> None:
    draft = replace(DRAFT, cc=(Mailbox("c@example.org"),), reply_to=(Mailbox("r@example.org"),))
    assert parsed(compose(draft)).keys() == [
        "From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-ID", "Auto-Submitted",
        "MIME-Version", "Content-Type",
    ]  # fmt: skip


def test_a_mail_says_that_a_machine_wrote_it_unless_the_caller_says_otherwise() -> None:
    assert parsed(compose(DRAFT))["Auto-Submitted"] == "auto-generated"
    by_hand = replace(DRAFT, headers=(("auto-submitted", "no"),))
    assert parsed(compose(by_hand)).get_all("Auto-Submitted") == ["no"]


def test_the_same_draft_gives_the_same_bytes() -> None:
    assert compose(DRAFT) == compose(replace(DRAFT))


def test_a_mail_without_visible_recipients_still_has_a_to_header() -> None:
    assert b"\r\nTo: undisclosed-recipients:;\r\n" in compose(replace(DRAFT, to=())).content


def test_a_long_list_unsubscribe_url_stays_whole() -> None:
    url = f"<https://example.org/u/{'x' * 600}>"
    raw = compose(replace(DRAFT, headers=(("List-Unsubscribe", url),))).content
    assert f"List-Unsubscribe: {url}\r\n".encode() in raw


def test_only_a_local_part_beyond_ascii_makes_a_mail_smtputf8() -> None:
    composed = compose(replace(DRAFT, to=(Mailbox("дима@example.org", "Дима"),)))
    assert composed.smtputf8
    assert "<дима@example.org>".encode() in composed.content
    assert not compose(DRAFT).smtputf8


BODY = st.text(st.one_of(st.characters(exclude_characters="\0"), st.sampled_from("\r\n .=\tFrom_")))


@settings(deadline=None)
@given(BODY, BODY)
@example("From the start\nFrom here\n", "x" * 2000)
@example("trailing \n\ttabs\t\n", "\n\n.\n..\n")
@example("", "--=_a_x\n=_")
@example("From " + "x" * 100, "é" * 50 + "\nFrom " + "é" * 100)
@example("\x0b\x0c\x1b", "a\rb\r\nc\n\nd")
def test_any_body_is_refused_or_reads_back_exactly(text: str, html: str) -> None:
    try:
        raw = compose(replace(DRAFT, text=text, html=html)).content
    except Invalid:
        assert any("\ud800" <= c <= "\udfff" for c in text + html)
        return
    _, *parts = email.message_from_bytes(raw).walk()
    got = [payload(part).decode().replace("\r\n", "\n") for part in parts]
    assert got == [re.sub(r"\r\n|\r", "\n", body) for body in (text, html)]


@settings(deadline=None)
@given(BODY)
def test_no_line_is_over_the_limit_and_every_line_end_is_crlf(body: str) -> None:
    try:
        raw = compose(replace(DRAFT, text=body, html=body)).content
    except Invalid:
        return
    assert raw.isascii()
    assert raw.endswith(b"\r\n")
    assert b"\r" not in raw.replace(b"\r\n", b"")
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert not re.search(rb"(?m)^From ", raw.partition(b"\r\n\r\n")[2])


def test_a_body_cannot_close_its_part_early() -> None:
    mark = compose(DRAFT).content.split(b'boundary="')[1].split(b'"')[0].decode()
    forged = f"--{mark}\nContent-Type: text/html\n\nevil\n--{mark}--\n"
    message = parsed(compose(replace(DRAFT, text=forged)))
    text, html = message.iter_parts()
    assert content(text) == forged
    assert content(html) == DRAFT.html


def test_every_fault_of_a_draft_is_named_at_once() -> None:
    draft = replace(
        DRAFT,
        from_=Mailbox("shop@example.org", "Shop\r\nBcc: x@y.org"),
        to=(Mailbox("a@example.org"), Mailbox("b@example.org", "=?utf-8?q?=0ABcc:_x@y.org?=")),
        subject="=?utf-8?q?hello=0ABcc:_evil@x?=",
        text="a\x00",
        html="<p>\ud800",
        headers=(("Bcc", "x@y.org"), ("List-Id", "a\nb")),
        message_id="<x>",
        attachments=(Attachment("../../x", b""),),
    )
    assert sorted(codes(draft)) == [
        ("/attachments/0/filename", "bad_filename"),
        ("/from", "control_character"),
        ("/headers", "header_not_allowed"),
        ("/headers/List-Id", "control_character"),
        ("/html", "lone_surrogate"),
        ("/message_id", "bad_message_id"),
        ("/subject", "encoded_word"),
        ("/text", "control_character"),
        ("/to/1", "encoded_word"),
    ]


@pytest.mark.parametrize("message_id", ["x@y", "<x y@z>", "<x@y>\r\nBcc: z", "<>", "<@>", "<é@y>"])
def test_a_message_id_that_is_none_is_refused(message_id: str) -> None:
    assert ("/message_id", "bad_message_id") in codes(replace(DRAFT, message_id=message_id))
