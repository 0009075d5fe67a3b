"""Words that come with the call."""

import pytest

from notifier.compose.inline import render_inline
from notifier.core.errors import Invalid


def test_text_is_made_from_html_where_it_is_missing() -> None:
    rendered = render_inline("Hi", "<p>Hello <b>you</b></p>", None)
    assert rendered.text == "Hello you\n"
    assert rendered.html == "<p>Hello <b>you</b></p>"


def test_given_text_stays_as_it_is() -> None:
    rendered = render_inline(" Hi ", None, "  a\n")
    assert (rendered.subject, rendered.text, rendered.html) == ("Hi", "  a\n", None)


def test_a_picture_alone_falls_back_to_the_subject() -> None:
    assert render_inline("Hi", '<img src="x">', None).text == "Hi\n"


def test_an_inline_mail_has_no_template_and_no_secret() -> None:
    rendered = render_inline("Hi", None, "a")
    assert (rendered.template, rendered.version, rendered.secret) == (None, None, False)


@pytest.mark.parametrize(
    ("subject", "html", "text", "errors"),
    [
        ("", None, "a", [("/subject", "blank")]),
        ("  ", None, "a", [("/subject", "blank")]),
        ("a\nb", None, "a", [("/subject", "control_character")]),
        ("=?utf-8?q?x?=", None, "a", [("/subject", "encoded_word")]),
        ("a\ud800", None, "a", [("/subject", "lone_surrogate")]),
        ("a", None, None, [("/text", "missing")]),
        ("a", " ", "", [("/text", "missing")]),
        ("a", "<p>\x00", None, [("/html", "control_character")]),
        ("a", "<p>", "\ud800", [("/text", "lone_surrogate")]),
        ("\r", "\x00", "\x00", [("/subject", "control_character"), ("/html", "control_character"),
                                ("/text", "control_character")]),
    ],
)  # fmt: skip
def test_every_unfit_field_is_named(
    subject: str, html: str | None, text: str | None, errors: list[tuple[str, str]]
) -> None:
    with pytest.raises(Invalid) as caught:
        render_inline(subject, html, text)
    assert [(error.pointer, error.code) for error in caught.value.errors] == errors
