"""The text version says what the HTML says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.compose.html_tokens import attributes, tokens
from notifier.compose.plain import html_to_text

CASES = [
    ("", ""),
    ("plain", "plain\n"),
    ("<p>one</p><p>two</p>", "one\n\ntwo\n"),
    ("one<br>two<br/><br>three", "one\ntwo\n\nthree\n"),
    ("<div>one</div><div>two</div>", "one\ntwo\n"),
    ("<p>a  <b>b</b>\n c</p>", "a b c\n"),
    ("a<b>b</b>c", "abc\n"),
    ("<ul><li>one<li>two</ul>end", "- one\n- two\n\nend\n"),
    ("<table><tr><td>a<td>b</tr><tr><td>c</tr></table>", "a b\nc\n"),
    ("<h1>T</h1>text", "T\n\ntext\n"),
    ('<a href="https://x.org/a?b=1&amp;c=2">go</a>.', "go (https://x.org/a?b=1&c=2).\n"),
    ('<a href="https://x.org">https://x.org</a>', "https://x.org\n"),
    ('<a href="mailto:a@x.org">a@x.org</a>', "a@x.org\n"),
    ('<a href="https://x.org"></a>', "https://x.org\n"),
    ('<a href="javascript:x">go</a> <a href="#top">up</a>', "go up\n"),
    ('<img src="x" alt="Logo"><p>x</p>', "Logo\n\nx\n"),
    ('<img src="x">', ""),
    ("<title>no</title><style>p{}</style><script>if (a<b) x()</script>yes", "yes\n"),
    ("<!-- no --><!doctype html><?pi?>yes<!--[if mso]>no<![endif]-->", "yes\n"),
    ('<div style="display: none">no<div>no</div></div>yes', "yes\n"),
    ("<p hidden>no</p>yes", "yes\n"),
    ("&lt;b&gt; &amp; &eacute; &#128075;", "<b> & é 👋\n"),
    ("1 < 2 and 3<4", "1 < 2 and 3<4\n"),
    ("a<hr>b", "a\n\n---\n\nb\n"),
    ("x &nbsp; y", "x \u00a0 y\n"),
    ("<p>text <unclosed", "text\n"),
    ("<p>text <!-- unclosed", "text\n"),
    ("<p>text</p><style>unclosed", "text\n"),
    ("नी\u200cलिमा", "नी\u200cलिमा\n"),
]


@pytest.mark.parametrize(("html", "text"), CASES)
def test_html_reads_as_text(html: str, text: str) -> None:
    assert html_to_text(html) == text


HOSTILE = ["<a ", "<a b='", '<a b="', "<!--", "<!", "<?", "</", "<a b=<", "&", "<div>", "<style>"]
HOSTILE += [
    "<a>x",
    "&#1",
    "9",
    "<a ='>'",
    "<p hidden>",
    "<a href=x>",
    "</p",
    "<x y=z='",
    "-->",
    "<![CDATA[",
]


@pytest.mark.parametrize("piece", HOSTILE)
@pytest.mark.parametrize("tail", ["", ">", "'>", '">', "-->"])
def test_hostile_html_takes_linear_time(piece: str, tail: str) -> None:
    # Quadratic work on half a million characters would run into the test's time limit.
    html_to_text(piece * (500_000 // len(piece)) + tail)


def test_many_links_open_at_once_take_linear_time() -> None:
    html_to_text("<a href=https://a.b>x" * 50_000 + "</a>" * 50_000)


def test_a_reference_may_have_any_number_of_digits() -> None:
    many = "9" * 5000
    assert html_to_text(
        f"a &#{many}; <a href='https://x.org/&#{many};'>b</a> &#{'0' * 5000}65;"
    ) == ("a \ufffd b (https://x.org/\ufffd) A\n")


@settings(deadline=None)
@given(st.text(st.sampled_from("<>/!-= \"'abpst"), max_size=200))
def test_tokens_lie_one_behind_the_other(html: str) -> None:
    at = 0
    for token in tokens(html):
        assert token.start == at
        assert token.end >= token.start
        at = token.end
    assert at <= len(html)


def test_attributes_are_found_as_a_browser_finds_them() -> None:
    (token,) = tokens("<a HREF='x>y' b = \"c\" d e=f/g h='&amp;'>")
    found = [(a.name, a.text, a.quoted) for a in attributes(token)]
    assert found == [
        ("href", "x>y", True),
        ("b", "c", True),
        ("d", "", False),
        ("e", "f/g", False),
        ("h", "&", True),
    ]
