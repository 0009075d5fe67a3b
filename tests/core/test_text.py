"""What text may go where."""

import pytest

from notifier.core.text import body_fault, header_fault, name_fault, untrusted_fault

CONTROLS = [chr(c) for c in (*range(0x20), 0x7F, *range(0x80, 0xA0), 0x2028, 0x2029)]


@pytest.mark.parametrize("control", CONTROLS)
def test_every_control_character_is_refused_in_a_header(control: str) -> None:
    fault = header_fault(f"before{control}after")
    assert fault is not None
    assert fault.code == "control_character"


@pytest.mark.parametrize(
    "text",
    [
        "=?utf-8?q?hello=0ABcc:_evil@x?=",
        "=?UTF-8?B?SGVsbG8=?=",
        "Hi =?x?= there",
        "=?us-ascii*en?q?x?=",
        "a =?utf-8?q?b c?= d",
    ],
)
def test_an_encoded_word_is_refused_in_a_header(text: str) -> None:
    fault = header_fault(text)
    assert fault is not None
    assert fault.code == "encoded_word"


@pytest.mark.parametrize("text", ["", "Hello", "Grüße 👋🏽", "1 + 1 =? 2", "why?= because", "‎שלום"])
def test_ordinary_text_may_be_a_header(text: str) -> None:
    assert header_fault(text) is None


@pytest.mark.parametrize("mark", list("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"))
def test_a_name_may_not_turn_the_writing_direction(mark: str) -> None:
    assert header_fault(f"a{mark}b") is None
    fault = name_fault(f"a{mark}b")
    assert fault is not None
    assert fault.code == "bidi_character"


def test_a_body_may_have_line_breaks_but_no_nul_and_no_lone_surrogate() -> None:
    assert body_fault("a\r\nb\tc\n") is None
    assert body_fault("a\x00b") is not None
    assert body_fault("a\udc00b") is not None


@pytest.mark.parametrize(
    "text",
    ["Robin", "Dr. Anna-Lena O'Neill", "J. R. R. Tolkien", "李小龍", "नी\u200cलिमा", "A.B."],
)
def test_a_persons_name_is_fit_for_an_untrusted_slot(text: str) -> None:
    assert untrusted_fault(text) is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a" * 65, "too_long"),
        ("evil.com", "url_like"),
        ("win at evil.com/now", "url_like"),
        ("https://x", "url_like"),
        ("HTTP://x", "url_like"),
        ("www.x", "url_like"),
        ("mail@evil.com", "url_like"),
        ("mailto:x", "url_like"),
        ("JavaScript:x", "url_like"),
        ("bücher.example", "url_like"),
        ("evil\u3002com", "url_like"),
        ("evil\uff0ecom", "url_like"),
        ("evil.\u200dcom", "url_like"),
        ("10.0.0.1", "url_like"),
        ("a\u200bb", "bidi_character"),
        ("a\u200fb", "bidi_character"),
        ("a\u202eb", "bidi_character"),
        ("a\nb", "control_character"),
        ("a\ud800b", "lone_surrogate"),
        ("=?utf-8?q?x?=", "encoded_word"),
    ],
)
def test_a_strangers_text_may_not_carry_a_message(text: str, code: str) -> None:
    fault = untrusted_fault(text)
    assert fault is not None
    assert fault.code == code
