"""The address type takes what RFC 5321 and 6531 allow and nothing that hides something."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.core.address import AddressError, Mailbox, parse_mailbox, parse_mailbox_parts

GOOD = [
    ("jane@example.org", "jane@example.org", None),
    ("Jane@Example.ORG", "Jane@example.org", None),
    ("a+tag_{x}!#$%&'*/=?^`|~-@x.example.org", "a+tag_{x}!#$%&'*/=?^`|~-@x.example.org", None),
    ("<jane@example.org>", "jane@example.org", None),
    ("Jane Doe <jane@example.org>", "jane@example.org", "Jane Doe"),
    ("J. R. Doe <jane@example.org>", "jane@example.org", "J. R. Doe"),
    ("Jörg Müller <j@example.org>", "j@example.org", "Jörg Müller"),
    ('"Doe, Jane" <jane@example.org>', "jane@example.org", "Doe, Jane"),
    (r'"A \"B\" C" <jane@example.org>', "jane@example.org", 'A "B" C'),
    ('"" <jane@example.org>', "jane@example.org", None),
    ('"a b"@example.org', '"a b"@example.org', None),
    ('"a@b"@example.org', '"a@b"@example.org', None),
    ('"plain"@example.org', "plain@example.org", None),
    ('Jane <"a b"@example.org>', '"a b"@example.org', "Jane"),
    ("jane@bücher.example", "jane@xn--bcher-kva.example", None),
    ("jane@\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45\u3002org", "jane@example.org", None),
    ("jane@xn--bcher-kva.example", "jane@xn--bcher-kva.example", None),
    ("дима@example.org", "дима@example.org", None),
    ("root@localhost", "root@localhost", None),
    ("jane@mail.local", "jane@mail.local", None),
    ("jane@test.test", "jane@test.test", None),
    (f"{'a' * 64}@example.org", f"{'a' * 64}@example.org", None),
]

BAD = [
    ("", "bad_syntax"),
    ("jane", "bad_syntax"),
    ("@example.org", "bad_syntax"),
    ("jane@", "bad_syntax"),
    (" jane@example.org", "surrounding_blanks"),
    ("jane@example.org ", "surrounding_blanks"),
    ("jane@example.org\n", "surrounding_blanks"),
    ("jane\r\nBcc: x@example.org@example.org", "control_character"),
    ("jane\x00@example.org", "control_character"),
    ("jane@exam\x85ple.org", "control_character"),
    ("jane\ud800@example.org", "lone_surrogate"),
    ("=?utf-8?q?x?=@example.org", "encoded_word"),
    ("Jane =?utf-8?q?=0ABcc:_x@y.org?= <jane@example.org>", "encoded_word"),
    ("Jane\r\nBcc: <jane@example.org>", "control_character"),
    ("Jane\u202eenaj <jane@example.org>", "bidi_character"),
    (f"{'n' * 257} <jane@example.org>", "too_long"),
    ("a" * 2000, "too_long"),
    (f"{'a' * 65}@example.org", "too_long"),
    (f"{'ä' * 33}@example.org", "too_long"),
    (f"a@{'b' * 63}.{'c' * 63}.{'d' * 63}.{'e' * 63}.org", "too_long"),
    ("jane@example", "bad_domain"),
    ("jane@-example.org", "bad_domain"),
    ("jane@example-.org", "bad_domain"),
    ("jane@exa_mple.org", "bad_domain"),
    ("jane@example..org", "bad_domain"),
    ("jane@.example.org", "bad_domain"),
    ("jane@example.org.", "bad_domain"),
    ("jane@ab--cd.org", "bad_domain"),
    ("jane@xn--zz.org", "bad_domain"),
    ("jane@1.2.3.4", "bad_domain"),
    (f"jane@{'a' * 64}.org", "bad_domain"),
    ("jane@exam\u202eple.org", "bad_domain"),
    ("jane@exam ple.org", "bad_domain"),
    ("jane@[127.0.0.1]", "address_literal"),
    ("jane@[IPv6:::1]", "address_literal"),
    ("jane..doe@example.org", "bad_local_part"),
    (".jane@example.org", "bad_local_part"),
    ("jane.@example.org", "bad_local_part"),
    ("jane doe@example.org", "bad_local_part"),
    ("jane(comment)@example.org", "bad_local_part"),
    ("jane@doe@example.org", "bad_local_part"),
    ("ja\u200bne@example.org", "bad_local_part"),
    ("jane@example.org, joe@example.org", "bad_local_part"),
    ("jane@example.org, Joe <joe@example.org>", "name_needs_quotes"),
    ("Friends: Joe <joe@example.org>", "name_needs_quotes"),
    ("Jane <jane@example.org", "bad_local_part"),
    ("Jane <<jane@example.org>>", "bad_local_part"),
    ('"Jane <jane@example.org>', "bad_syntax"),
    ("<>", "bad_syntax"),
]


@pytest.mark.parametrize(("text", "address", "name"), GOOD)
def test_a_sound_address_is_normalised(text: str, address: str, name: str | None) -> None:
    assert parse_mailbox(text) == Mailbox(address, name)


@pytest.mark.parametrize(("text", "code"), BAD)
def test_an_unsound_address_is_refused_with_its_code(text: str, code: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_mailbox(text)
    assert caught.value.code == code


@pytest.mark.parametrize("text", [text for text, _ in BAD if len(text) > 3])
def test_a_refusal_never_repeats_the_input(text: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_mailbox(text)
    assert text not in str(caught.value)


def test_only_a_local_part_beyond_ascii_needs_smtputf8() -> None:
    assert parse_mailbox("дима@example.org").needs_smtputf8
    assert not parse_mailbox("jane@bücher.example").needs_smtputf8


def test_the_domain_is_what_follows_the_last_at() -> None:
    assert parse_mailbox('"a@b"@example.org').domain == "example.org"


def test_a_blank_name_is_no_name() -> None:
    assert parse_mailbox_parts("jane@example.org", "   ").name is None


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        mailbox = parse_mailbox(text)
    except AddressError:
        return
    assert parse_mailbox(mailbox.address).address == mailbox.address
