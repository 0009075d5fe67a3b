"""Parsing: everything is read, nothing raises, and what could not be read is said."""

import base64
import time
from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.mailbox.parse import Mail, parse
from notifier.mailbox.records import Person
from notifier.mailbox.summary import highlights, searched_text, summarise


def headed(*headers: str, body: bytes = b"") -> Mail:
    return parse("\r\n".join(headers).encode() + b"\r\n\r\n" + body)


def nested(depth: int) -> bytes:
    opened = b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n)
        for n in range(depth)
    )
    return b"Subject: deep\r\n" + opened + b"\r\nbottom\r\n"


SUBJECTS = [
    ("Plain", "Plain"),
    ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
    ("=?utf-8?b?R3LDvMOfZQ==?= and more", "Grüße and more"),
    ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
    ("=?iso-8859-1?q?caf=E9?=", "café"),
    ("=?no-such?q?caf=C3=A9?=", "café"),
    ("=?utf-8?b?!!!?=", "=?utf-8?b?!!!?="),
    ("folded\r\n over lines", "folded over lines"),
    ("Grüße raw", "Grüße raw"),
    ("nul \0 and bell \a", "nul \ufffd and bell \ufffd"),
]


@pytest.mark.parametrize(("written", "read"), SUBJECTS)
def test_subjects_are_decoded_as_far_as_they_can_be(written: str, read: str) -> None:
    assert headed(f"Subject: {written}").subject == read


def test_people_are_read_with_names_and_without() -> None:
    mail = headed('To: "Last, First" <a@x.org>, =?utf-8?q?J=C3=BCrgen?= <b@x.org>, c@x.org')
    assert mail.to == [
        Person("Last, First", "a@x.org"),
        Person("Jürgen", "b@x.org"),
        Person("", "c@x.org"),
    ]


def test_bodies_keep_their_line_ends_and_charsets() -> None:
    body = b"caf\xe9\r\nx\n"
    mail = headed("Content-Type: text/plain; charset=iso-8859-1", body=body)
    assert mail.text == "café\r\nx\n"
    assert mail.problems == []


def test_alternatives_attachments_and_inline_images_are_told_apart() -> None:
    raw = (
        b'Content-Type: multipart/mixed; boundary="m"\r\n\r\n'
        b'--m\r\nContent-Type: multipart/related; boundary="r"\r\n\r\n'
        b"--r\r\nContent-Type: text/html\r\n\r\n<b>hi</b>\r\n"
        b"--r\r\nContent-Type: image/png\r\nContent-ID: <logo@x>\r\n\r\nPNG\r\n--r--\r\n"
        b"--m\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
        b"--m\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n"
        + base64.b64encode(b"inside")
        + b"\r\n--m--\r\n"
    )
    mail = parse(raw)
    assert (mail.html, mail.text) == ("<b>hi</b>", "hello")
    assert [(part.filename, part.content) for part in mail.attachments] == [("a.txt", b"inside")]
    assert [part.content_id for part in mail.parts] == [None, "logo@x", None, None]


@pytest.mark.parametrize("depth", [29, 200, 3000])
def test_depth_is_survived_and_reported(depth: int) -> None:
    mail = parse(nested(depth))
    assert mail.subject == "deep"
    assert bool(mail.problems) == (depth > 1)


HOSTILE = {
    "nothing": b"",
    "no headers": b"\r\n\r\nhello",
    "only nul": b"\0" * 100,
    "bad charset": b"Content-Type: text/plain; charset=\xff\xfe\r\n\r\nx",
    "nul charset": b"Content-Type: text/plain; charset=a\0b\r\n\r\nx",
    "bad base64": b"Content-Transfer-Encoding: base64\r\n\r\n!!!=?\xff",
    "bad encoding": b"Content-Transfer-Encoding: quoted-unreadable\r\n\r\nx",
    "empty boundary": b'Content-Type: multipart/mixed; boundary=""\r\n\r\n--\r\n\r\nx',
    "rfc2231": b"Content-Disposition: attachment; filename*0*=x'y'%FF; filename*2=z\r\n\r\nx",
    "nested comments": b"From: " + b"(" * 20_000 + b"\r\n\r\n",
    "a year of nonsense": b"Date: Fri, 99 Zzz 99999 99:99:99 +9999\r\n\r\n",
    "many headers": b"X: y\r\n" * 5000 + b"\r\n",
    "many addresses": b"To: " + b"a@b.c," * 5000 + b"\r\n\r\n",
    "many parts": b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    + b"--b\r\n\r\nx\r\n" * 2000,
    "surrogates": "Subject: \udcff\ud800".encode("utf-8", "surrogatepass") + b"\r\n\r\n",
    "forwarded": b"Content-Type: message/rfc822\r\n\r\n" * 400,
    "a long run of blanks": b"Subject: a" + b" " * 60_000 + b"b\r\n\r\n",
    "a long number": b"Content-Type: text/html\r\n\r\n&#" + b"9" * 5000 + b";",
    "blanks between tags": b"Content-Type: text/html\r\n\r\n" + b"<b> " * 50_000,
    "blanks in a field": b"Content-Type: text/html\r\n\r\n<textarea>" + b" " * 190_000,
    "quoted semicolons": b'Content-Type: text/plain;a="' + b'\\";' * 200_000 + b"\r\n\r\nx",
    "only boundaries": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n" * 900_000,
    "half a pair by utf-7": b"Content-Type: text/plain; charset=utf-7\r\n\r\n+2AA-",
    "half a pair by python": b"Content-Type: text/html; charset=unicode_escape\r\n\r\n\\ud800",
    "a quadratic charset": b"Content-Type: text/plain; charset=punycode\r\n\r\n"
    + b"a" * 400_000
    + b"-"
    + b"b" * 400_000,
    "a year without end": b"Date: Mon, 1 Jan 99999999999999999999 00:00:00 +0000\r\n\r\n",
    "a zone without end": b"Date: Mon, 1 Jan 2020 00:00:00 -99999999999999999999\r\n\r\n",
    "the end of time": b"Date: Mon, 31 Dec 9999 23:59:59 -1400\r\n\r\n",
    "many codes": b"Subject: x\r\n\r\n" + b"x 123456 " * 22_000,
    "two million lines": b"Subject: x\r\n\r\n" + b"\n" * 2_000_000,
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_hostile_mail_is_read_quickly_and_without_an_error(raw: bytes) -> None:
    began = time.perf_counter()
    mail = parse(raw)
    summary = summarise(mail)
    highlights(mail)
    for text in (
        summary.subject,
        summary.snippet,
        mail.text or "",
        mail.html or "",
        searched_text(mail),
        *dict(mail.headers).values(),
    ):
        text.encode()
    assert mail.date is None or mail.date.astimezone(UTC).tzinfo is UTC
    assert time.perf_counter() - began < 5


def test_a_long_file_name_in_many_segments_is_kept_whole() -> None:
    segments = "".join(f"; filename*{n}=segment-{n:03}-" for n in range(100))
    mail = headed(f"Content-Disposition: attachment{segments}")
    assert mail.parts[0].filename == "".join(f"segment-{n:03}-" for n in range(100))


PIECES = [
    b"\r\n", b"\r\n\r\n", b"--b", b"--b--", b"=?utf-8?q?", b"?=", b"<", b">", b'"', b"(", b"@",
    b"\0", b"\xff", b"Content-Type: ", b"multipart/mixed; boundary=b", b"text/html", b"From: ",
    b"message/rfc822", b"; charset=", b"Date: ", b"filename*=", b"Content-ID: ", b"base64",
    b"Content-Transfer-Encoding: ", b"Content-Disposition: ",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.sampled_from(PIECES) | st.binary(max_size=8),
        max_size=40,
    )
)
def test_parsing_never_raises(pieces: list[bytes]) -> None:
    mail = parse(b"".join(pieces))
    summarise(mail)
    highlights(mail)
    searched_text(mail).encode()


def test_a_well_formed_mail_has_no_problem_and_a_broken_one_says_which() -> None:
    assert summarise(headed("From: a@b.c", "Subject: x", body=b"hi")).malformed is None
    broken = headed("Content-Type: multipart/mixed; boundary=b", body=b"--b\r\n\r\nx")
    assert "boundary" in (summarise(broken).malformed or "")


CODES = [
    ("Your confirmation code is 482193.", "482193"),
    ("Your code: 482 193", "482193"),
    ("Hello\n\n482193\n\nBye", "482193"),
    ("Order 482193 has been shipped to you", None),
    ("https://x.example/482193/code", None),
    ("Your code is valid until 2026-11-24, invoice #482193", None),
    ("Call +49 482193 for a code, or type 771204", "771204"),
    ("Total: 482193.00 code", None),
]


@pytest.mark.parametrize(("text", "code"), CODES)
def test_the_confirmation_code_is_found(text: str, code: str | None) -> None:
    assert highlights(headed("Subject: x", body=text.encode())).code == code


def test_the_main_link_is_the_one_to_act_on() -> None:
    html = (
        b'<a href="https://x.example/">Home</a>'
        b'<a href="https://x.example/c?t=1"><b>Confirm</b> me</a>'
        b'<a href="https://x.example/unsubscribe?token=1">Unsubscribe</a>'
    )
    link = highlights(headed("Content-Type: text/html", body=html)).link
    assert link is not None
    assert (link.href, link.label) == ("https://x.example/c?t=1", "Confirm me")
