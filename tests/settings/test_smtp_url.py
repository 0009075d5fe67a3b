"""URLs of relays: what they mean, and how a broken one is explained."""

import re
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.settings.smtp_url import BadUrl, SmtpUrl, parse_smtp_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("smtps://h.example", SmtpUrl("h.example", 465, "implicit", None, None)),
        ("smtps://h.example:2465/", SmtpUrl("h.example", 2465, "implicit", None, None)),
        ("SMTP://H.Example", SmtpUrl("h.example", 587, "required", None, None)),
        ("smtp://h.example:25", SmtpUrl("h.example", 25, "required", None, None)),
        ("smtp://h?tls=none", SmtpUrl("h", 587, "none", None, None)),
        ("smtp://h:25/?tls=required", SmtpUrl("h", 25, "required", None, None)),
        ("smtp://h?tls=opportunistic", SmtpUrl("h", 587, "opportunistic", None, None)),
        ("smtp://localhost:1026", SmtpUrl("localhost", 1026, "required", None, None)),
        ("smtp://127.0.0.1", SmtpUrl("127.0.0.1", 587, "required", None, None)),
        ("smtp://[::1]:25", SmtpUrl("::1", 25, "required", None, None)),
        ("smtp://my_relay", SmtpUrl("my_relay", 587, "required", None, None)),
        ("smtp://u:p@h", SmtpUrl("h", 587, "required", "u", "p")),
        ("smtp://u%40x.example:p%3A%2f%25@h", SmtpUrl("h", 587, "required", "u@x.example", "p:/%")),
        ("smtp://u:p%C3%A4ss%20w@h", SmtpUrl("h", 587, "required", "u", "päss w")),
        ("smtp://u@h", SmtpUrl("h", 587, "required", "u", None)),
        ("smtp://u:@h", SmtpUrl("h", 587, "required", "u", None)),
    ],
)
def test_a_url_is_taken_apart(text: str, expected: SmtpUrl) -> None:
    assert parse_smtp_url(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "smtp:// or smtps://"),
        ("h.example:25", "smtp:// or smtps://"),
        ("http://h", "smtp:// or smtps://"),
        ("smtp:/h", "smtp:// or smtps://"),
        ("smtp://", "names no host"),
        ("smtp://u:p@", "names no host"),
        ("smtp://:25", "names no host"),
        ("smtp://h:smtp", "a port that is no number"),
        ("smtp://h:", "a port that is no number"),
        ("smtp://h:0", "a port that is no number"),
        ("smtp://h:65536", "a port that is no number"),
        ("smtp://h:1²", "a port that is no number"),
        ("smtp://u:p", "a port that is no number"),
        ("smtp://h/inbox", "after the host and port"),
        ("smtp://::1:25", "names no host"),
        ("smtp://[::1", "after the host and port"),
        ("smtp://[::x]", "no IP address"),
        ("smtp://300.1.1.1", "no IP address"),
        ("smtp://127.1", "no IP address"),
        ("smtp://2130706433", "no IP address"),
        ("smtp://h..example", "no host name"),
        ("smtp://-h.example", "no host name"),
        ("smtp://bücher.example", "xn-- form"),
        ("smtp://h?tls=maybe", "something other than required"),
        ("smtp://h?tls=", "something other than required"),
        ("smtp://h?TLS=none", "which is the only one"),
        ("smtp://h?timeout=3", "which is the only one"),
        ("smtp://h?tls=none&tls=required", "which is the only one"),
        ("smtps://h?tls=none", "leave it out"),
        ("smtp://u:p p@h", "write %20"),
        ("smtp://u:p@h\n", "write %20"),
        ("smtp://u:p%0d%0aQUIT@h", "control character"),
        ("smtp://u:%00@h", "control character"),
        ("smtp://u:%ff@h", "not UTF-8"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(text: str, words: str) -> None:
    with pytest.raises(BadUrl, match=re.escape(words)):
        parse_smtp_url(text)


@pytest.mark.parametrize(
    ("password", "mend"),
    [
        ("pa@ss", "%40 for @"),
        ("pa#ss", "%23 for #"),
        ("pa/ss", "%2F for /"),
        ("pa:ss", "%3A for :"),
        ("pa?ss", "%3F for ?"),
        ("pa%ss", "%25 for %"),
        ("p/a@s:s", "%40 for @, %2F for /, %3A for :"),
    ],
)
def test_an_unescaped_password_is_said_to_be_one(password: str, mend: str) -> None:
    with pytest.raises(BadUrl) as refusal:
        parse_smtp_url(f"smtp://user:{password}@smtp.example.org:587")
    assert str(refusal.value) == (
        f"is broken by an unescaped character in the user name or password: {mend}."
    )


_SECRETS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


@given(username=_SECRETS, password=_SECRETS)
def test_any_credentials_survive_being_escaped(username: str, password: str) -> None:
    url = parse_smtp_url(f"smtp://{quote(username, safe='')}:{quote(password, safe='')}@h")
    assert (url.username, url.password) == (username, password)


@given(st.text(), st.text())
def test_any_text_is_understood_or_refused(scheme_end: str, rest: str) -> None:
    for text in (scheme_end + rest, f"smtp://{rest}", f"smtps://u:{scheme_end}@{rest}"):
        try:
            url = parse_smtp_url(text)
        except BadUrl:
            continue
        assert 1 <= url.port <= 65535
        assert url.host == url.host.strip()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("smtp://user:hunter2@h", "smtp://***@h:587"),
        ("smtps://h", "smtps://h:465"),
        ("smtp://u@[::1]:25?tls=none", "smtp://***@[::1]:25?tls=none"),
    ],
)
def test_a_url_is_shown_without_credentials(text: str, shown: str) -> None:
    url = parse_smtp_url(text)
    assert url.shown() == shown
    assert "hunter2" not in repr(url)
