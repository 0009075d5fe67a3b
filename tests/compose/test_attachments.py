"""Files arrive under their name, with their bytes, and nowhere but in the mail."""

from dataclasses import replace
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.compose.attachments import Attachment, check_attachments
from notifier.compose.mime import compose
from tests.compose.test_mime import DRAFT, parsed, payload


def files(message: EmailMessage) -> list[tuple[str | None, str, bytes]]:
    leaves = [part for part in message.walk() if part.get_filename()]
    return [(part.get_filename(), part.get_content_type(), payload(part)) for part in leaves]


@pytest.mark.parametrize(
    "name",
    [
        "a.pdf",
        "Rechnung März.pdf",
        'quote".txt',
        "a" * 200,
        "中" * 66,
        "with;semi,comma.csv",
        "x y'z%.txt",
    ],
)
def test_a_file_keeps_its_name_and_bytes(name: str) -> None:
    content = bytes(range(256)) * 3
    composed = compose(replace(DRAFT, attachments=(Attachment(name, content, "image/x-thing"),)))
    assert files(parsed(composed)) == [(name, "image/x-thing", content)]
    assert max(map(len, composed.content.split(b"\r\n"))) <= 100


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_survive(content: bytes) -> None:
    message = parsed(compose(replace(DRAFT, attachments=(Attachment("a.bin", content),))))
    assert files(message)[0][2] == content


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.pdf", "application/pdf"),
        ("a.PNG", "image/png"),
        ("a.tar.gz", "application/octet-stream"),
        ("a.unheard-of", "application/octet-stream"),
        ("a.eml", "application/octet-stream"),
    ],
)
def test_the_type_goes_by_the_name_where_none_is_given(name: str, kind: str) -> None:
    message = parsed(compose(replace(DRAFT, attachments=(Attachment(name, b"x"),))))
    assert files(message)[0][1] == kind


def test_a_file_with_an_id_lies_beside_the_html_that_shows_it() -> None:
    shown = Attachment("logo.png", b"x", content_id="logo@mail")
    listed = Attachment("a.pdf", b"y")
    message = parsed(compose(replace(DRAFT, attachments=(shown, listed))))
    shape = [part.get_content_type() for part in message.walk()]
    assert shape == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "multipart/related",
        "text/html",
        "image/png",
        "application/pdf",
    ]
    inline = next(part for part in message.walk() if part["Content-ID"])
    assert inline["Content-ID"] == "<logo@mail>"
    assert inline.get_content_disposition() == "inline"


def test_without_html_a_file_with_an_id_is_listed() -> None:
    shown = Attachment("logo.png", b"x", content_id="logo")
    message = parsed(compose(replace(DRAFT, html=None, attachments=(shown,))))
    assert message.get_content_type() == "multipart/mixed"
    assert len(files(message)) == 1


@pytest.mark.parametrize(
    ("attachment", "pointer", "code"),
    [
        (Attachment("", b""), "filename", "bad_filename"),
        (Attachment("..", b""), "filename", "bad_filename"),
        (Attachment("../../x", b""), "filename", "bad_filename"),
        (Attachment("a\\b", b""), "filename", "bad_filename"),
        (Attachment("a" * 201, b""), "filename", "bad_filename"),
        (Attachment("a\r\nX: y", b""), "filename", "control_character"),
        (Attachment("invoice\u202efdp.exe", b""), "filename", "bidi_character"),
        (Attachment("=?utf-8?q?x?=", b""), "filename", "encoded_word"),
        (Attachment("a\ud800", b""), "filename", "lone_surrogate"),
        (Attachment("a", b"", "text"), "content_type", "bad_content_type"),
        (Attachment("a", b"", "text/html; x=y"), "content_type", "bad_content_type"),
        (Attachment("a", b"", "text/html\r\nX: y"), "content_type", "bad_content_type"),
        (Attachment("a", b"", "multipart/mixed"), "content_type", "bad_content_type"),
        (Attachment("a", b"", "message/rfc822"), "content_type", "bad_content_type"),
        (Attachment("a", b"", None, "<x>"), "content_id", "bad_content_id"),
        (Attachment("a", b"", None, "x\r\ny"), "content_id", "bad_content_id"),
        (Attachment("a", b"", None, ""), "content_id", "bad_content_id"),
    ],
)
def test_an_unfit_file_is_refused(attachment: Attachment, pointer: str, code: str) -> None:
    errors = list(check_attachments([attachment]))
    assert [(e.pointer, e.code) for e in errors] == [(f"/attachments/0/{pointer}", code)]


def test_two_files_with_one_id_are_refused() -> None:
    twins = [Attachment("a", b"", content_id="x"), Attachment("b", b"", content_id="x")]
    assert [error.code for error in check_attachments(twins)] == ["duplicate"]
